/** Takes the loader out of the libraries that a binary asks for. */
export function withoutLoader(file: string): void;
