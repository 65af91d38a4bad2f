// Whether a button of the pointer is down. What is under it keeps its place until it is released.

class Pointer {
  pressed = $state(false);

  constructor() {
    addEventListener("pointerdown", () => (this.pressed = true), true);
    // After the events of the mouse, which follow in the same task: the charts listen to those.
    const release = () => setTimeout(() => (this.pressed = false));
    for (const type of ["pointerup", "pointercancel"]) addEventListener(type, release, true);
    // The blur of the window itself: it does not learn of a release any more.
    addEventListener("blur", release);
  }
}

export const pointer = new Pointer();
