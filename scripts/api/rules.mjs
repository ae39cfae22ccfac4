// What a docstring must say. A rule is here where a machine can tell; whether it is true, tests and readers do.
import { docOf, isCallable, membersOf, typeText } from './docstrings.mjs';

/** A unit, or what else a number can be: where none of these words stands, nobody knows what to give. */
const UNIT =
  /µs|\b(bytes?|packets?|frames?|batch(es)?|leases?|ns|ms|seconds?|milliseconds|queues?|CPU|pairs|bits?|flags?|mask|LINKTYPE_|errno|number|numbers|index|indices|position|address(es)?|ports?|tag|tags|ethertype|hash|group|cluster|seed|VLAN|limit|window|version|IPv4|4 or 6|protocol|carries|code|offset)\b/i;
const UNIT_IN_NAME = /(Ms|Ns|Bytes)$/;
const NUMBER = /\b(number|bigint|Uint16Array|Uint32Array|Float64Array)\b/;

/** What does not come by itself: it says what is thrown, if only that nothing is. */
const THROWN = /\bRINGTAP_[A-Z_]+|\b(RangeError|TypeError|nothing)\b|\{@link |signal's reason/;

/** @returns what is wrong with the docstrings of what an entry exports */
export function faultsOf({ name: entry }, exported, codes) {
  const faults = [];
  const examples = exported.flatMap(({ nodes }) => nodes.flatMap((node) => [...examplesWithin(node)])).join('\n');

  const look = (name, node, inherited) => {
    const doc = docOf(node);
    const fault = (what) => faults.push(`${entry}: ${name} ${what}`);
    const all = [doc.text, doc.returns, ...doc.throws, ...doc.params.values()].join('\n');
    for (const code of all.match(/\bRINGTAP_[A-Z_]+\b/g) ?? []) {
      if (!codes.has(code)) fault(`names ${code}, which no table has`);
    }
    if (doc.text === '' && !inherited) return fault('has no docstring');
    // What has the docstring of another one: {@link close}.
    if (/^\{@link [^}]*\}$/.test(doc.text)) return undefined;
    if (!isCallable(node)) {
      if (NUMBER.test(typeText(node)) && isField(node) && !UNIT_IN_NAME.test(name) && !UNIT.test(doc.text)) {
        fault('is a number without a unit');
      }
      return undefined;
    }
    if (!doc.throws.some((text) => THROWN.test(text))) fault('does not say what it @throws (a code, or nothing)');
    const called = name.includes('.') ? `.${name.split('.')[1]}(` : `${name}(`;
    const isMade = name.endsWith('.constructor') && examples.includes(`new ${name.split('.')[0]}(`);
    if (doc.examples.length === 0 && !isMade && !name.includes('[') && !examples.includes(called)) {
      fault('is in no @example');
    }
    for (const parameter of node.parameters) {
      const its = parameter.name.getText();
      const text = doc.params.get(its) ?? (all.includes(`\`${its}\``) ? all : undefined);
      if (text === undefined) fault(`does not tell of its parameter ${its}`);
      else if (NUMBER.test(typeText(parameter)) && !UNIT_IN_NAME.test(its) && !UNIT.test(text)) {
        fault(`takes ${its}, a number without a unit`);
      }
    }
    return undefined;
  };

  for (const { name, nodes } of exported) {
    const documented = nodes.some((node) => docOf(node).text !== '');
    for (const node of nodes) look(name, node, documented);
    for (const node of nodes) {
      const ofAll = nodes.map(membersOf);
      for (const [member, declared] of membersOf(node)) {
        const elsewhere = ofAll.some((found) => found.get(member)?.some((at) => docOf(at).text !== ''));
        for (const at of declared) look(`${name}.${member}`, at, elsewhere);
      }
      if (node.members !== undefined && hasMethods(node) && nodes.every((at) => docOf(at).examples.length === 0)) {
        faults.push(`${entry}: ${name} has no @example`);
      }
    }
  }
  return faults;
}

/** The words of tables stand in a type: `{ ETHERNET: 1 }` is a name for a number, and says what it is. */
const isField = (node) =>
  node.type !== undefined && node.name !== undefined && !/^\d+$/.test(typeText(node)) && node.members === undefined;

const hasMethods = (node) => [...membersOf(node).values()].flat().some(isCallable);

function* examplesWithin(node) {
  yield* docOf(node).examples;
  for (const declared of membersOf(node).values()) for (const at of declared) yield* docOf(at).examples;
}
