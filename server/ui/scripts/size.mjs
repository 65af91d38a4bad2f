// Fails if the page exceeds its budgets: 150 KB in all, gzipped, and 90 kB before the first figures
// are shown, as a browser loads them (brotli). The same page for saved files (dist/file) is not loaded
// by it.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const BUDGET = 150_000;
const FIRST_BUDGET = 90_000;
let total = 0;
for (const entry of readdirSync("dist", { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || entry.name === ".gitignore" || /\.(br|gz)$/.test(entry.name)) continue;
  const path = `${entry.parentPath ?? entry.path}/${entry.name}`;
  if (path.startsWith("dist/file/")) continue;
  const size = gzipSync(readFileSync(path), { level: 6 }).length;
  total += size;
  console.log(`${String(size).padStart(8)}  ${path}`);
}
console.log(`${String(total).padStart(8)}  in total, gzipped; the budget is ${BUDGET}`);

// What index.html names. The other scripts are loaded when something needs them.
const page = total === 0 ? "" : readFileSync("dist/index.html", "utf8");
const named = [...page.matchAll(/(?:src|href)="\.(\/assets\/[^"]+)"/g)].map((match) => `dist${match[1]}`);
const sent = (path) => readFileSync(existsSync(`${path}.br`) ? `${path}.br` : path).length;
const first = ["dist/index.html", ...named].reduce((sum, path) => sum + (total === 0 ? 0 : sent(path)), 0);
console.log(`${String(first).padStart(8)}  at the first load, brotli; the budget is ${FIRST_BUDGET}`);
if (total === 0 || total > BUDGET || first > FIRST_BUDGET) {
  console.error(total === 0 ? "dist is empty: run npm run build" : "the page exceeds its budget");
  process.exit(1);
}
