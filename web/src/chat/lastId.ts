/** How far a stream has been read: ids are `epoch-seq`, and seq rises within an epoch. */
export class LastId {
  #epoch = "";
  #seq = -1;
  value = "";

  /** Whether the event is new; one that was read before has an id that is not above the last one. */
  advance(id: string): boolean {
    if (id === "" || id === this.value) return false;
    const dash = id.lastIndexOf("-");
    const epoch = id.slice(0, dash);
    const seq = Number(id.slice(dash + 1));
    if (epoch === this.#epoch && seq <= this.#seq) return false;
    this.#epoch = epoch;
    this.#seq = seq;
    this.value = id;
    return true;
  }
}
