// docs/api/*.md: the reference, one page for each entry, out of the docstrings.
import ts from 'typescript';
import { docOf, isCallable, membersOf, typeText } from './docstrings.mjs';
import { printed } from './report.mjs';

/** The page of an entry. `home` has the page that shows what both export; what links to nothing goes to `problems`. */
export function pageOf({ name: entry }, exported, home, problems) {
  const isElsewhere = ({ symbol }) => home?.symbols.has(symbol) ?? false;
  const ours = exported.filter((one) => !isElsewhere(one));
  const own = anchorsOf(ours);
  const linker = linkerOf(entry, exported, problems, (one, key) =>
    isElsewhere(one) ? `${home.page}${home.anchors.get(key)}` : own.get(key),
  );
  const parts = byKind(ours).map(({ kind, title, those }) => {
    return { title, those, text: those.map((one) => sectionOf(one, kind, linker)).join('\n\n') };
  });
  const index = parts.map(({ title, those }) => {
    const lines = those.map((one) => {
      const told = cell(linker.told(firstSentence(textOf(one)), one.name));
      return `| [\`${headingOf(one)}\`](${own.get(one.name)}) | ${told} |`;
    });
    return `| ${title} | |\n|---|---|\n${lines.join('\n')}`;
  });
  const elsewhere = exported
    .filter(isElsewhere)
    .map(({ name }) => linker.told(`{@link ${name}}`, name))
    .join(', ');
  return `<!-- Written by npm run api from the docstrings. Do not edit. -->
# API of \`${entry}\`

Examples leave out \`import { … } from '${entry}'\`. Where they do not say what they are, \`capture\` is an open capture, \`batch\` one of its batches,
\`packet\` a packet of that, \`writer\` an open writer, \`frames\` frames to send. What is thrown besides is a fault of ringtap. The same as declarations: [${fileOf(entry)}.api.md](${fileOf(entry)}.api.md).

${elsewhere === '' ? '' : `It also exports ${elsewhere}.\n\n`}${index.join('\n\n')}

${parts.map(({ title, text }) => `# ${title}\n\n${text}`).join('\n\n')}
`;
}

export const fileOf = (entry) => entry.replaceAll('/', '-');

const KINDS = [
  ['function', 'Functions'],
  ['class', 'Objects'],
  ['options', 'Options'],
  ['constant', 'Constants'],
  ['type', 'Types'],
];

function kindOf({ name, nodes: [node] }) {
  if (ts.isFunctionDeclaration(node)) return 'function';
  if (ts.isVariableDeclaration(node)) return 'constant';
  if ([...membersOf(node).values()].flat().some(isCallable)) return 'class';
  return name.endsWith('Options') ? 'options' : 'type';
}

const byKind = (exported) =>
  KINDS.map(([kind, title]) => ({ kind, title, those: exported.filter((one) => kindOf(one) === kind) })).filter(
    ({ those }) => those.length > 0,
  );

const headingOf = (one) => (kindOf(one) === 'function' ? `${one.name}()` : one.name);

function headingOfMethod(owner, member) {
  if (member === 'constructor') return `new ${owner}()`;
  return `${owner}${member.startsWith('[') ? '' : '.'}${member}()`;
}

/** What has the docstring of another member, as [Symbol.asyncDispose]. */
const isOther = (member, declared) => member.startsWith('[') && docOf(declared[0]).text.startsWith('{@link');

function methodsOf({ nodes }) {
  const members = nodes.flatMap((node) => [...membersOf(node)]);
  return members.filter(([member, declared]) => declared.some(isCallable) && !isOther(member, declared));
}

/** GitHub's anchors of everything on a page, by name: of headings that would have the same, later ones get a number. */
export function anchorsOf(exported) {
  const anchors = new Map();
  const seen = new Map();
  const add = (key, heading) => {
    const slug = heading
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-');
    const before = seen.get(slug) ?? 0;
    seen.set(slug, before + 1);
    anchors.set(key, before === 0 ? `#${slug}` : `#${slug}-${before}`);
  };
  for (const { title, those } of byKind(exported)) {
    add(`# ${title}`, title);
    for (const one of those) {
      add(one.name, headingOf(one));
      for (const [member] of methodsOf(one)) add(`${one.name}.${member}`, headingOfMethod(one.name, member));
    }
  }
  return anchors;
}

const textOf = ({ nodes }) => nodes.map((node) => docOf(node).text).find((text) => text !== '') ?? '';

function sectionOf(one, kind, linker) {
  const { name, nodes } = one;
  const node = nodes.find((at) => docOf(at).text !== '') ?? nodes[0];
  const parts = [`## ${headingOf(one)}`];
  if (kind === 'function') {
    parts.push(signature(nodes), callable(node, name, linker));
    return join(parts);
  }
  const doc = docOf(node);
  parts.push(linker.told(doc.text, name), base(node, linker), ...doc.examples.map(example));
  const members = [...membersOf(node)];
  const fields = members.filter(([, declared]) => !declared.some(isCallable));
  // Of alternatives the table does not tell which members go together.
  if (kind === 'type' && ts.isTypeAliasDeclaration(node)) parts.push(signature(nodes));
  if (fields.length > 0) parts.push(table(fields, kind, name, linker));
  parts.push(...fields.flatMap(([, declared]) => declared.flatMap((at) => docOf(at).examples)).map(example));
  for (const [member, declared] of methodsOf(one)) parts.push(method(name, member, declared, linker));
  return join(parts);
}

const join = (parts) => parts.filter((part) => part !== '').join('\n\n');

/** Where the rest of its members stands. */
function base(node, linker) {
  const names = (node.heritageClauses ?? []).flatMap(({ types }) => types.map((type) => type.getText()));
  const ours = names.filter((name) => name.endsWith('Options'));
  return ours.length === 0
    ? ''
    : `With those of ${ours.map((name) => linker.told(`{@link ${name}}`, name)).join(', ')}.`;
}

function table(fields, kind, owner, linker) {
  const rows = fields.map(([member, declared]) => {
    const at = declared[0];
    const type = linker.typed(typeText(at)).replaceAll('|', '\\|');
    const told = declared.map((one) => docOf(one).text).find((text) => text !== '') ?? '';
    return `| \`${member}${at.questionToken ? '?' : ''}\` | ${type} | ${cell(linker.told(told, owner))} |`;
  });
  return `| | ${kind === 'constant' ? 'value' : 'type'} | |\n|---|---|---|\n${rows.join('\n')}`;
}

function method(owner, member, declared, linker) {
  const overloads = declared.map((at) =>
    join([fenced(at.getText().replace(/\s+/g, ' ')), callable(at, owner, linker)]),
  );
  const hasExample = declared.some((at) => docOf(at).examples.length > 0);
  return join([
    `### ${headingOfMethod(owner, member)}`,
    ...overloads,
    hasExample ? '' : linker.exampleOf(owner, member === 'constructor' ? `new ${owner}(` : `.${member}(`),
  ]);
}

function callable(node, owner, linker) {
  const doc = docOf(node);
  const told = (text) => linker.told(text, owner);
  const names = node.parameters.map((parameter) => parameter.name.getText()).filter((name) => doc.params.has(name));
  const params = names.map((name) => `- \`${name}\`: ${told(doc.params.get(name))}`);
  return join([
    told(doc.text),
    params.join('\n'),
    doc.returns === '' ? '' : `**Returns** ${told(doc.returns)}`,
    ...doc.throws.map((text) => `**Throws** ${told(text)}`),
    ...doc.examples.map(example),
  ]);
}

const signature = (nodes) => fenced(nodes.map((node) => printed(node).replace(/^export /, '')).join('\n'));
const fenced = (text) => `\`\`\`ts signature\n${text}\n\`\`\``;
const example = (code) => `\`\`\`ts run\n${code.replace(/^```\w*\n|\n?```$/g, '')}\n\`\`\``;

const cell = (text) => text.replace(/\s*\n\s*/g, ' ').replace(/(?<!\\)\|/g, '\\|');
const firstSentence = (text) => /^[\s\S]*?[.:](?=\s|$)|^[\s\S]+/.exec(text)?.[0].replace(/:$/, '.') ?? '';

/** Turns {@link Name}, {@link Name.member} and {@link member} into links. */
function linkerOf(entry, exported, problems, anchorOf) {
  const byName = new Map(exported.map((one) => [one.name, one]));
  const target = (name, member) => {
    const one = byName.get(name);
    if (one === undefined) return undefined;
    if (member === undefined) return anchorOf(one, name);
    if (!one.nodes.some((node) => membersOf(node).has(member))) return undefined;
    return anchorOf(one, methodsOf(one).some(([its]) => its === member) ? `${name}.${member}` : name);
  };
  const told = (text, owner) =>
    text
      .replace(/\{@link ([\w.]+)(?:\s+([^}]*))?\}/g, (_, path, shown) => {
        const [name, member] = path.split('.');
        const to = (member === undefined && target(owner, name)) || target(name, member);
        if (to === undefined) problems.push(`${entry}: ${owner} links to ${path}, which is nothing`);
        return `[\`${shown ?? path}\`](${to})`;
      })
      .replace(/\bdocs\/([\w-]+\.md)/g, '[docs/$1](../$1)')
      .replace(/(?<=^|[\s(])(RINGTAP_[A-Z_]+)\b/g, '`$1`')
      .replace(/^CaptureError /, '');
  /** A type, as a link where it is one of ours. */
  const typed = (text) => {
    const to = target(/^(?:readonly )?(\w+)(?:\[\])?$/.exec(text)?.[1]);
    return to === undefined ? `\`${text}\`` : `[\`${text}\`](${to})`;
  };
  /** Where a call without an example of its own is shown. */
  const exampleOf = (owner, call) => {
    const places = exported.flatMap(({ name, nodes }) =>
      nodes.flatMap((node) => [
        [name, docOf(node).examples],
        ...[...membersOf(node)].map(([member, declared]) => [
          `${name}.${member}`,
          declared.flatMap((at) => docOf(at).examples),
        ]),
      ]),
    );
    const shown = places.filter(([, examples]) => examples.some((code) => code.includes(call)));
    const [place] = shown.find(([name]) => name.split('.')[0] === owner) ?? shown[0] ?? [];
    return place === undefined ? '' : told(`An example: {@link ${place}}.`, owner);
  };
  return { told, typed, exampleOf };
}
