// What stands in a docstring, taken apart; and what of an export has one.
import ts from 'typescript';

const EMPTY = { text: '', params: new Map(), returns: '', throws: [], examples: [] };

/** The docstring of a declaration: its text, and what its tags say. */
export function docOf(node) {
  const owner = ts.isVariableDeclaration(node) ? node.parent.parent : node;
  const comment = ts.getJSDocCommentsAndTags(owner).filter(ts.isJSDoc).at(-1);
  if (comment === undefined) return EMPTY;
  const doc = { text: '', params: new Map(), returns: '', throws: [], examples: [] };
  for (const [tag, text] of sections(comment.getText())) {
    if (tag === '') doc.text = text;
    else if (tag === 'returns') doc.returns = text;
    else if (tag === 'throws') doc.throws.push(text);
    else if (tag === 'example') doc.examples.push(text);
    else if (tag === 'param') doc.params.set(...splitAtBlank(text));
  }
  return doc;
}

// WHY by hand: what TypeScript gives of an @example has lost its indentation.
function sections(comment) {
  const lines = comment
    .replace(/^\/\*\*[ \t]?|\s*\*\/$/g, '')
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, ''));
  const found = [['', []]];
  for (const line of lines) {
    const [, tag, rest] = /^\s*@(\w+)\s?(.*)$/.exec(line) ?? [];
    if (tag === undefined) found.at(-1)[1].push(line);
    else found.push([tag, [rest]]);
  }
  return found.map(([tag, text]) => [tag, text.join('\n').trim()]);
}

function splitAtBlank(text) {
  const at = text.search(/\s|$/);
  return [text.slice(0, at), text.slice(at).trim()];
}

/** Members that a user meets, by name, overloads together. What is private, or a base demands, is left out. */
export function membersOf(node) {
  const found = new Map();
  for (const member of listed(node)) {
    const name = ts.isConstructorDeclaration(member) ? 'constructor' : member.name?.getText();
    if (name === undefined || name.startsWith('#')) continue;
    if (ts.getCombinedModifierFlags(member) & ts.ModifierFlags.Private) continue;
    found.set(name, [...(found.get(name) ?? []), member]);
  }
  return found;
}

function listed(node) {
  if (node.members !== undefined) return node.members;
  const { type } = node;
  if (type === undefined) return [];
  const parts = ts.isUnionTypeNode(type) ? type.types : [type];
  return parts.filter(ts.isTypeLiteralNode).flatMap(({ members }) => [...members]);
}

export const isCallable = (node) =>
  ts.isFunctionDeclaration(node) ||
  ts.isMethodDeclaration(node) ||
  ts.isMethodSignature(node) ||
  ts.isConstructorDeclaration(node);

/** The type of a member or parameter as it is written, without the `undefined` of what may be left out. */
export function typeText(node) {
  const text = node.type?.getText() ?? literal(node);
  return text.replace(/\s+/g, ' ').replace(/ \| undefined$/, '');
}

/** Of `readonly name = "CaptureError"`. */
const literal = (node) => node.initializer?.getText() ?? 'unknown';
