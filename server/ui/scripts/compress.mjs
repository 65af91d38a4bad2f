// Compresses the files of dist once, at the highest level: the server answers with the smallest
// form that a browser accepts (src/http/page.rs).
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

/** Smaller files gain nothing. */
const MIN_BYTES = 1024;

for (const entry of readdirSync("dist", { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || !/\.(js|css|html|svg)$/.test(entry.name)) continue;
  const path = `${entry.parentPath ?? entry.path}/${entry.name}`;
  // The page for saved files is put into them, and not sent by itself.
  // The server puts its base path into index.html.
  if (path.startsWith("dist/file/") || path === "dist/index.html") continue;
  const plain = readFileSync(path);
  if (plain.length < MIN_BYTES) continue;
  writeFileSync(`${path}.br`, brotliCompressSync(plain, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: plain.length } }));
  writeFileSync(`${path}.gz`, gzipSync(plain, { level: 9 }));
}
