// Whether an element can be seen: what cannot is drawn and fetched later.

/** Distance in pixels from the visible part of the page at which an element counts as visible. */
const MARGIN = 200;

export class Visible {
  now = $state(true);

  /** Action: observes its element. */
  readonly watch = (element: Element) => {
    const observer = new IntersectionObserver((entries) => (this.now = entries.at(-1)?.isIntersecting ?? true), { rootMargin: `${MARGIN}px 0px` });
    observer.observe(element);
    const destroy = (): void => {
      observer.disconnect();
      this.now = true;
    };
    return { destroy };
  };
}
