/** Where all of it lies. */
export const minbase: string;
/** Versions of Node that are in it. */
export const NODES: readonly string[];
/** Name → package, and the program in it. */
export const MANAGERS: Readonly<Record<string, { readonly spec: string; readonly program: string }>>;
/** Makes what is not there yet. */
export function makeMinbase(): void;
