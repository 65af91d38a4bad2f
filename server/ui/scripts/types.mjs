// Generates src/lib/api/types.ts from ../openapi.json, which is generated from the
// server's code. `npm test` fails if types.ts is out of date.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const API = fileURLToPath(new URL("../../openapi.json", import.meta.url));
export const TYPES = fileURLToPath(new URL("../src/lib/api/types.ts", import.meta.url));

const PLAIN = { string: "string", number: "number", integer: "number", boolean: "boolean", null: "null" };

/** A schema as a TypeScript type. */
function type(schema, indent) {
  if (schema.$ref) return schema.$ref.replace("#/components/schemas/", "");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices) return choices.map((choice) => type(choice, indent)).join(" | ");
  if (schema.allOf) return schema.allOf.map((part) => type(part, indent)).join(" & ");
  return [schema.type ?? "unknown"]
    .flat()
    .map((name) => {
      if (name === "array") {
        const item = type(schema.items ?? {}, indent);
        return item.includes(" ") ? `(${item})[]` : `${item}[]`;
      }
      if (name === "object" && schema.properties) return fields(schema, indent);
      if (name === "object") return `Record<string, ${type(schema.additionalProperties || {}, indent)}>`;
      return PLAIN[name] ?? "unknown";
    })
    .join(" | ");
}

function comment(text, indent) {
  return text ? `${indent}/** ${text.replaceAll("*/", "* /").replace(/\s*\n\s*/g, " ").trim()} */\n` : "";
}

function fields(schema, indent) {
  const inner = `${indent}  `;
  const lines = Object.entries(schema.properties).map(([name, field]) => {
    const optional = schema.required?.includes(name) ? "" : "?";
    return `${comment(field.description, inner)}${inner}${name}${optional}: ${type(field, inner)};\n`;
  });
  return `{\n${lines.join("")}${indent}}`;
}

/** The contents of types.ts. */
export function types() {
  const { schemas } = JSON.parse(readFileSync(API, "utf8")).components;
  const parts = Object.entries(schemas).map(([name, schema]) => {
    const head = comment(schema.description, "");
    if (schema.type === "object" && schema.properties) return `${head}export interface ${name} ${fields(schema, "")}\n`;
    return `${head}export type ${name} = ${type(schema, "")};\n`;
  });
  return `// Made from server/openapi.json by \`npm run types\`; not to be edited.\n\n${parts.join("\n")}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(TYPES, types());
