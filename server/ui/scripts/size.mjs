// Fails if the page exceeds its budget of 150 KB, gzipped.
import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const BUDGET = 150_000;
let total = 0;
for (const entry of readdirSync("dist", { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || entry.name === ".gitignore") continue;
  const path = `${entry.parentPath ?? entry.path}/${entry.name}`;
  const size = gzipSync(readFileSync(path), { level: 6 }).length;
  total += size;
  console.log(`${String(size).padStart(8)}  ${path}`);
}
console.log(`${String(total).padStart(8)}  in total, gzipped; the budget is ${BUDGET}`);
if (total === 0 || total > BUDGET) {
  console.error(total === 0 ? "dist is empty: run npm run build" : "the page exceeds its budget");
  process.exit(1);
}
