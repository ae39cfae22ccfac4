// native/protocol/<name>/fields.json: the keys that C++ writes events with, their TypeScript types, and the list of protocols.
import { note, protocols } from './tables.mjs';

const camel = (name) => name.replace(/(^|[_-])(.)/g, (_, __, letter) => letter.toUpperCase());
const nameOf = (key) => key.replace(/\?$/, '');

/** The C++ type of the key of a field of this TypeScript type. */
function keyType(type) {
  if (type.endsWith('[]')) return 'ListKey';
  if (type === 'string' || type.startsWith("'")) return 'TextKey';
  if (type === 'number') return 'NumberKey';
  if (type === 'boolean') return 'FlagKey';
  return 'ObjectKey';
}

const structs = ({ name, text, fields, types = {} }) => [
  { type: camel(name), text, fields },
  ...Object.entries(types).map(([type, { text, fields }]) => ({ type, text, fields })),
];

function keysOf(protocol) {
  const keys = new Map();
  for (const { type, fields } of structs(protocol)) {
    for (const [key, [of]] of Object.entries(fields)) {
      const name = nameOf(key);
      const made = keyType(of);
      if ((keys.get(name) ?? made) !== made)
        throw new Error(`${protocol.name}: ${type}.${name} has another type elsewhere`);
      keys.set(name, made);
    }
  }
  return [...keys].sort(([a], [b]) => (a < b ? -1 : 1));
}

export const protocolFields = Object.fromEntries(
  protocols.map((protocol) => [
    `native/generated/${protocol.name}_fields.inc`,
    `// ${note}\n${keysOf(protocol)
      // WHY another name: kProtocol is what describes the protocol itself.
      .map(
        ([name, type]) =>
          `inline constexpr ${type} k${name === 'protocol' ? 'ProtocolKey' : camel(name)}{"\\"${name}\\":"};`,
      )
      .join('\n')}\n`,
  ]),
);
export const protocolHeaders = `// ${note}\n${protocols.map(({ name }) => `#include "protocol/${name}/${name}.h"\n`).join('')}`;
export const protocolTable = `// ${note}\n${protocols.map(({ name }) => `RINGTAP_PROTOCOL(${name})\n`).join('')}`;

const member = ([key, [type, text]]) =>
  `  /** ${text} */\n  readonly ${key}: ${type.endsWith('[]') ? `readonly ${type}` : type};`;
const struct = ({ type, text, fields }) =>
  `/** ${text} */\nexport interface ${type} {\n${Object.entries(fields).map(member).join('\n')}\n}`;

export const eventTypes = `// ${note}

/** What every event has, whatever it is about. */
export interface EventHeader {
  /** When the packet came, in UTC: \`2026-11-30T19:00:00.123456+0000\`. */
  readonly timestamp: string;
  /** Number of the flow: \`id\` of its record. What is in no flow (ARP) has none. */
  readonly flow_id?: number;
  /** Address of who began the flow. */
  readonly src_ip?: string;
  /** Port of who began the flow. */
  readonly src_port?: number;
  /** Address of the other end. */
  readonly dest_ip?: string;
  /** Port of the other end. */
  readonly dest_port?: number;
  /** TCP, UDP, ICMP or IPv6-ICMP. */
  readonly proto?: string;
  /** 4 or 6. */
  readonly ip_v?: number;
  /** Ids of the VLANs, the outer one first: numbers. */
  readonly vlan?: readonly number[];
  /** The innermost tunnel, and its number: VNI, key, session, TEID or label. */
  readonly tunnel?: { readonly kind: string; readonly id: number };
  /** Community ID, version 1, with seed 0, where \`communityId\` is on. */
  readonly community_id?: string;
  /** Number of events of this flow that were withheld before this one, because they were too many in a second. */
  readonly withheld?: number;
  /** True: it would be longer, lists or texts end early. */
  readonly truncated?: boolean;
}

${protocols.flatMap(structs).map(struct).join('\n\n')}

${protocols
  .map(
    ({ name, title }) =>
      `/** ${title}: what \`event_type: '${name}'\` says. */\nexport interface ${camel(name)}Event extends EventHeader {\n  /** What kind of event it is. */\n  readonly event_type: '${name}';\n  /** What it says. */\n  readonly ${name}: ${camel(name)};\n}`,
  )
  .join('\n\n')}

/** What a protocol in a flow has said; \`event_type\` tells which. */
export type Event =
${protocols.map(({ name }) => `  | ${camel(name)}Event`).join('\n')};

/** The protocols that there are events of. */
export type ProtocolName = Event['event_type'];

/** In the order in which native code numbers them. */
export const PROTOCOLS = [
${protocols.map(({ name }) => `  '${name}',`).join('\n')}
] as const satisfies ProtocolName[];
`;
