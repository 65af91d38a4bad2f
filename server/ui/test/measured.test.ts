import { expect, test } from "vitest";
import { isChisel, isScanned, networkValues, opensText, unlessChisel } from "../src/lib/measured";

test("figures that the chisel never measured are unknown, not 0", () => {
  expect(unlessChisel("sysdig", "0")).toBe("–");
  for (const hooks of ["vfs", "syscall", "procfs", "capture", ""]) {
    expect(isChisel(hooks)).toBe(false);
    expect(unlessChisel(hooks, "0")).toBe("0");
  }
});

test("scans of /proc do not see the network", () => {
  expect([isScanned("procfs"), isScanned("syscall"), isScanned("capture")]).toEqual([true, false, false]);
  expect(networkValues("procfs", [0, 5, null])).toEqual([null, null, null]);
  expect(networkValues("vfs", [0, 5, null])).toEqual([0, 5, null]);
});

test("opens are unknown where no hook sees them", () => {
  for (const hooks of ["procfs", "sysdig"]) expect(opensText(hooks, "0")).toBe("–");
  for (const hooks of ["vfs", "syscall", "capture", ""]) expect(opensText(hooks, "0")).toBe("0");
});
