// Text in columns, for terminals of any width.

/** Columns of the terminal; of no terminal, those that $COLUMNS says, or 80. */
export function columns(): number {
  const { columns: own } = process.stdout;
  const told = Number(process.env.COLUMNS);
  return own !== undefined && own > 0 ? own : Number.isInteger(told) && told > 0 ? told : 80;
}

/** Words in lines of at most `width`; a word that is longer has a line of its own. */
export function wrap(words: readonly string[], width: number, between = ' '): string[] {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + between.length + word.length <= width) {
      lines[lines.length - 1] = `${last}${between}${word}`;
    } else {
      lines.push(word);
    }
  }
  return lines;
}

/** A name and the text that belongs to it, which goes on below itself. */
export function entry(name: string, indent: number, text: string, width = columns()): string {
  const [first = '', ...rest] = text.split('\n').flatMap((line) => wrap(line.split(' '), width - indent));
  const head = name.length < indent ? name.padEnd(indent) : `${name}\n${' '.repeat(indent)}`;
  return [`${head}${first}`.trimEnd(), ...rest.map((line) => `${' '.repeat(indent)}${line}`)].join('\n');
}

export function paragraph(text: string): string {
  return wrap(text.split(' '), columns()).join('\n');
}
