// The configuration file of the daemon, as libpcap's and ExtraHop's daemons have it.
import { readFileSync } from 'node:fs';
import { type ActiveClient, CaptureError } from '../index.js';

/** What such a file says. */
export interface RpcapdIni {
  readonly active: readonly ActiveClient[];
  readonly allow: readonly string[];
  readonly nullAuth: boolean | undefined;
  readonly users: string | undefined;
}

/**
 * A host that a daemon connects to: `host`, `host,port`, with `ifname=NAME` and `ifaddr=NETWORK` behind it.
 * @returns what is wrong, where something is
 */
export function parseActive(text: string): ActiveClient | string {
  const [host = '', ...rest] = text.split(',').map((part) => part.trim());
  if (!/^[\w.:%-]+$/.test(host)) return `"${host}" is no host`;
  const client: { host: string; port?: number; ifname?: string; ifaddr?: string } = { host };
  for (const [i, part] of rest.entries()) {
    const [, name, value] = /^(ifname|ifaddr)=(\S+)$/.exec(part) ?? [];
    if (name !== undefined) client[name as 'ifname' | 'ifaddr'] = value!;
    else if (i === 0 && /^\d{1,5}$/.test(part)) client.port = Number(part);
    else if (i > 0 || part !== 'DEFAULT') return `"${part}" is no port, ifname=NAME or ifaddr=NETWORK`;
  }
  return client;
}

/** Reads `ActiveClient = host,port,ifname=eth0`, `PassiveClient = host`, `NullAuthPermit = YES` and `Users = path`. */
export function readIni(path: string): RpcapdIni {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    const what = cause instanceof Error ? cause.message : String(cause);
    throw new CaptureError('RINGTAP_FILE_OPEN', `-f: ${what}`, { cause });
  }
  const active: ActiveClient[] = [];
  const allow: string[] = [];
  let nullAuth: boolean | undefined;
  let users: string | undefined;
  for (const [i, whole] of text.split('\n').entries()) {
    const line = whole.replace(/[#;].*/, '').trim();
    if (line === '') continue;
    const bad = (what: string) => new CaptureError('RINGTAP_BAD_OPTION', `line ${i + 1} of ${path}: ${what}`);
    const [, name = '', value = ''] = /^(\w+)\s*=\s*(.*)$/.exec(line) ?? [];
    if (name === 'ActiveClient') {
      const client = parseActive(value);
      if (typeof client === 'string') throw bad(client);
      active.push(client);
    } else if (name === 'PassiveClient') {
      allow.push(...value.split(/[\s,]+/).filter((host) => host !== ''));
    } else if (name === 'NullAuthPermit') {
      if (!/^(YES|NO)$/i.test(value)) throw bad(`NullAuthPermit is YES or NO, not "${value}"`);
      nullAuth = value.toUpperCase() === 'YES';
    } else if (name === 'Users') {
      users = value;
    } else {
      throw bad('expected ActiveClient, PassiveClient, NullAuthPermit or Users = …');
    }
  }
  return { active, allow, nullAuth, users };
}
