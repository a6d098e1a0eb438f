export function MapPage() {
  return <p>map</p>;
}
