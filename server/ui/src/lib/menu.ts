// Menus close on Escape, and on a press outside of them.

function close(menu: HTMLDetailsElement): void {
  menu.open = false;
}

const opened = (): HTMLDetailsElement[] => [...document.querySelectorAll<HTMLDetailsElement>("details.menu[open]")];

/** Closes menus until the returned function is called. */
export function closeMenus(): () => void {
  const pressed = (event: PointerEvent): void => {
    for (const menu of opened()) if (!menu.contains(event.target as Node)) close(menu);
  };
  const key = (event: KeyboardEvent): void => {
    const menus = opened();
    if (event.key !== "Escape" || menus.length === 0) return;
    // The key has no other effect.
    event.stopPropagation();
    event.preventDefault();
    for (const menu of menus) {
      close(menu);
      menu.querySelector("summary")?.focus();
    }
  };
  addEventListener("pointerdown", pressed, true);
  addEventListener("keydown", key, true);
  return () => {
    removeEventListener("pointerdown", pressed, true);
    removeEventListener("keydown", key, true);
  };
}
