// docs/uri.md
import { backends, note, opening, range, vocabulary } from './tables.mjs';

const cell = (text) => String(text).replaceAll('|', '\\|');
const row = (cells) => `| ${cells.map(cell).join(' | ')} |`;
const table = (head, rows) => [row(head), `|${'---|'.repeat(head.length)}`, ...rows.map(row)].join('\n');
const code = (text) => `\`${text}\``;
/** A scheme, with what its method needs and does behind it. */
const guide = ({ name }) => `[\`${name}:\`](../native/backends/${name}/README.md)`;
const of = (backend, name) => backend.options.find((o) => o.name === name);

const optionRow = (o) => [
  code(o.name),
  `${o.type}${o.unit ? `, ${o.unit}` : ''}`,
  o.type === 'queues' ? '' : range(o),
  o.default ?? '',
  `${o.from === 'object' ? 'Only in the options object. ' : ''}${o.doc}`,
];

/** One row a scheme that has the option, with its default. */
const meanings = (...names) =>
  table(
    ['scheme', ...names, 'which is'],
    backends
      .filter((b) => names.some((name) => of(b, name)))
      .map((b) => [
        code(`${b.name}:`),
        ...names.map((name) => of(b, name)?.default ?? (of(b, name) ? '' : '–')),
        names
          .map((name) => of(b, name)?.doc)
          .filter(Boolean)
          .join(' '),
      ]),
  );

/** Which option sizes the memory that packets wait in: its unit says what it counts. */
const memory = table(
  ['scheme', 'option', 'default', 'which is'],
  backends.flatMap((b) =>
    ['bufferBytes', 'frames', 'frameBytes', 'rxRing', 'mbufs', 'descriptors', 'blockBytes', 'backlog']
      .filter((name) => of(b, name))
      .map((name) => [
        code(`${b.name}:`),
        code(name),
        `${of(b, name).default ?? ''}${of(b, name).default === undefined ? '' : ` ${of(b, name).unit ?? ''}`}`,
        of(b, name).doc,
      ]),
  ),
);

const renamed = backends.flatMap((b) =>
  b.options.flatMap((o) => Object.entries(o.was ?? {}).map(([old, how]) => [b.name, old, o.name, how])),
);

export const uriDocument = `<!-- ${note} -->
# URIs and options

\`scheme:target?option=value&option=value\`. The options object of \`open()\` takes the same names and wins over the URI.
An unknown name is \`RINGTAP_UNKNOWN_OPTION\` and names the nearest one; a bad value is \`RINGTAP_BAD_OPTION\`. TypeScript knows the options of each
scheme: \`open('afpacket:eth0', { mbufs: 5 })\` does not compile. With a URI that is a mere \`string\`, or may be of several schemes, it takes those that more than one scheme has, with every value that one of them takes.

- A bare interface (\`eth0\`) means \`auto:eth0\`: AF_PACKET first, then libpcap, which has devices of its own (\`nflog\`). A bare path or \`-\` means \`file:\`, taken literally.
- Booleans are \`true\`/\`false\` (also \`1\`/\`0\`); integers may end in \`k\`, \`M\` or \`G\` (binary multiples).
- After the scheme, \`?\` and \`%\` are written \`%3F\` and \`%25\`; in values \`&\` is \`%26\`, too. \`devices()\` and \`ringtap list\` give URIs that are taken as they stand.
- A URI has up to 524288 characters, its target up to 4096 bytes (each path of a list). NUL characters and halves of surrogate pairs are refused, percent-encoded or not.
- Options are own properties of the object, each read once. A URI is untrusted text: what it may do stands in [SECURITY.md](../SECURITY.md).
- Where a method falls back to another one, options that the other one lacks, or values that it does not take, are left out, and the plan's notes say so.

${table(
  ['scheme', 'also spelt', 'method', 'target'],
  [
    ['`auto:`', 'a bare interface', "the best method that leaves the host's traffic alone", 'an interface'],
    ...backends.map((b) => [guide(b), b.aliases.map((a) => code(`${a}:`)).join(' '), b.title, b.targetDoc]),
  ],
)}

Taken by \`open()\` for every scheme: ${opening.map((o) => `\`${o.name}\` (${o.doc})`).join(' ')}

${backends
  .map(
    (b) => `## ${b.name}:

${table(['option', 'type', 'range', 'default', 'meaning'], b.options.map(optionRow))}
`,
  )
  .join('\n')}
# One word for one thing

What an option is called does not depend on the scheme; what it can do does.

## queues

${meanings('queues')}

## share and shareMode

Captures with the same \`share\` split the target's packets among them, each packet going to one. They may be in one process or in several.

${meanings('share', 'shareMode')}

## timeoutMs

How long a packet may wait for others before its batch is delivered, in ms. Schemes that do not have it deliver at once. It is no deadline of
\`nextSync(timeoutMs)\`, which says how long to wait for a batch.

${meanings('timeoutMs')}

## Memory

\`…Bytes\` counts bytes; everything else counts packets, or the buffers that they lie in.

${memory}

## Older names

They still work, with a process warning (\`RINGTAP_RENAMED_OPTION\`) once each; given beside the new name they are \`RINGTAP_BAD_OPTION\`. TypeScript does not have them.

${table(
  ['scheme', 'older', 'now'],
  renamed.map(([name, old, now, how]) => [
    code(`${name}:`),
    code(old),
    how === 'count' ? `${code(now)}: \`${old}=4\` is \`${now}=0-3\`` : code(now),
  ]),
)}

# What a plan and a ledger say

\`capture.plan\`, \`explain()\` and \`stats()\` use these words only; they are types (\`CaptureMode\`, \`FilterPlacement\`, \`TimestampSource\`, \`DropCause\`).

## plan.mode

${table(
  ['mode', 'packets come from'],
  vocabulary.modes.map(({ word, meaning }) => [code(word), meaning]),
)}

## plan.filter

${table(
  ['filter', 'runs'],
  vocabulary.placements.map(({ word, meaning }) => [code(word), meaning]),
)}

## plan.timestamp

${table(
  ['timestamp', 'whose clock'],
  vocabulary.clocks.map(({ word, meaning }) => [code(word), meaning]),
)}

## stats().drops

A cause that the method cannot count is \`null\`, which is not zero. Causes that a scheme does not list do not exist there.

${table(
  ['scheme', 'cause', 'meaning'],
  backends.flatMap((b) =>
    b.drops.length === 0
      ? [[code(`${b.name}:`), '', 'nothing is lost: what is not read waits']]
      : b.drops.map(({ cause, meaning }) => [code(`${b.name}:`), code(cause), meaning]),
  ),
)}
`;
