// A set of numbers of ends: small whole numbers, most of them asked for again and again.

export class EndBits {
  #has = new Uint8Array(1024);

  /** True when the number was not in the set before. */
  add(number: number): boolean {
    if (number >= this.#has.length) {
      const larger = new Uint8Array(Math.max(2 * this.#has.length, number + 1));
      larger.set(this.#has);
      this.#has = larger;
    }
    if (this.#has[number] !== 0) return false;
    this.#has[number] = 1;
    return true;
  }
}
