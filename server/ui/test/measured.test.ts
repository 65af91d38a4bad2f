import { expect, test } from "vitest";
import { isChisel, unlessChisel } from "../src/lib/measured";

test("figures that the chisel never measured are unknown, not 0", () => {
  expect(unlessChisel("sysdig", "0")).toBe("–");
  for (const hooks of ["vfs", "syscall", "procfs", "capture", ""]) {
    expect(isChisel(hooks)).toBe(false);
    expect(unlessChisel(hooks, "0")).toBe("0");
  }
});
