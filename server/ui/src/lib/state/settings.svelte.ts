// What a person prefers on every page; kept in the browser.

const KEY = "bubble-settings";

class Settings {
  /** Times in UTC, or in the browser's own zone. */
  utc = $state(false);

  constructor() {
    try {
      const kept = JSON.parse(localStorage.getItem(KEY) ?? "{}") as { utc?: unknown };
      this.utc = kept.utc === true;
    } catch {
      // What is kept there is not ours to trust; the defaults do.
    }
  }

  toggleUtc(): void {
    this.utc = !this.utc;
    localStorage.setItem(KEY, JSON.stringify({ utc: this.utc }));
  }

  get zone(): string {
    return this.utc ? "UTC" : "local";
  }
}

export const settings = new Settings();
