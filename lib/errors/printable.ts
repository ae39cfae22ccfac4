// Text from outside (URIs, paths, names of interfaces, what a library says), as people may be shown it.

/** Control characters and line ends, marks that turn or hide text, and halves of characters. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
const UNPRINTABLE_IN_LINES = /(?!\n)[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
const LETTERS: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

const MOST_WORD = 256;
const MOST_TEXT = 2048;

/** Escapes what a terminal would obey instead of show. The result is one line. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, escaped);
}

/** The same for text whose line ends are ours. */
export function printableLines(text: string): string {
  return text.replace(UNPRINTABLE_IN_LINES, escaped);
}

/** JSON that is the same JSON, and that a terminal shows as it is. */
export function printableJson(json: string): string {
  return json.replace(UNPRINTABLE_IN_LINES, (character) =>
    [...Array(character.length).keys()].map((i) => `\\u${hex(character.charCodeAt(i), 4)}`).join(''),
  );
}

/** Leaves out the middle of what nobody would read: of a long word, such as a URI, and of a long text. */
export function shorten(text: string): string {
  return cut(text, MOST_TEXT).replace(/\S+/g, (word) => cut(word, MOST_WORD));
}

/** A value as a message may quote it. Never fails, whatever the value is. */
export function show(value: unknown): string {
  if (typeof value === 'string') return `"${value}"`;
  if (value === null || value === undefined || typeof value === 'number' || typeof value === 'boolean') {
    return String(value);
  }
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

function cut(text: string, most: number): string {
  if (text.length <= most) return text;
  return `${text.slice(0, (most * 3) / 4)}…${text.slice(-most / 4)}`;
}

function escaped(character: string): string {
  const code = character.codePointAt(0)!;
  return LETTERS[character] ?? (code < 0x100 ? `\\x${hex(code, 2)}` : `\\u{${hex(code, 4)}}`);
}

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, '0');
}
