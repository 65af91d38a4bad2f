// The panels that are loaded after the first figures, in one script: they share the table.

export { default as Accounting } from "./Accounting.svelte";
export { default as Events } from "./Events.svelte";
export { default as Files } from "./Files.svelte";
export { default as Network } from "./Network.svelte";
export { default as Time } from "./Time.svelte";
