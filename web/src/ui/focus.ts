// Who uses keys stays in the page: what had the focus may go away with what was done.

/** Gives the focus to the page's content when nothing has it any more, after what is under way is drawn. */
export function catchFocus(): void {
  requestAnimationFrame(() =>
    requestAnimationFrame(() => {
      if (document.activeElement !== null && document.activeElement !== document.body) return;
      document.getElementById('main')?.focus({ preventScroll: true });
    }),
  );
}

/** Catches the focus after each button that was used by a key. Returns how to stop. */
export function watchFocus(): () => void {
  const onClick = (event: MouseEvent) => {
    // A click without a pointer.
    if (event.detail === 0) catchFocus();
  };
  document.addEventListener('click', onClick);
  return () => document.removeEventListener('click', onClick);
}
