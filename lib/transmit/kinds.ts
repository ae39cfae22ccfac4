/** `instanceof` of what a stranger gave, which may throw when it is looked at: then it is none. */
export function isA<T>(value: unknown, kind: abstract new (...args: never[]) => T): value is T {
  try {
    return value instanceof kind;
  } catch {
    return false;
  }
}
