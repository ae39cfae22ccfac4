// Rules of a forwarder as text, a line each.
import { CaptureError } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import {
  addressBytes,
  bad,
  INTERFACE,
  type InlineGeneveRule,
  type InlineNatRule,
  type InlineRule,
  KINDS,
  LIMITS,
  NAME,
  networkOf,
  readRule,
  TIMEOUTS,
} from './rules.js';

/** What a line of rules is made of, and where. */
interface Word {
  readonly text: string;
  readonly column: number;
}

/**
 * Reads rules that are written one a line, `web: eth1 10.1.0.2 -> 10.1.0.5/24 => eth2 10.2.0.5/24 -> 10.2.0.2`, with
 * `via GATEWAY` behind either side where the peer is not on the link. `many: nat eth1 10.1.0.0/24 -> …` is for many clients,
 * with bounds behind it (`ports 20000-29999 entries 4096 per-client 64 udp 30s`), and
 * `gw: geneve eth1 10.1.0.0/24 -> 10.1.0.5 health 8080` for balancers. `#` begins a comment.
 * @example
 * for (const rule of parseRules('web: eth1 10.1.0.2 -> 10.1.0.5 => eth2 10.2.0.5 -> 10.2.0.2')) {
 *   console.log(rule.name, rule.kind ?? 'pair', rule.in.address); // web pair 10.1.0.5
 * }
 * @param text all of a file
 * @param source what messages call it, such as the file's name
 * @returns the rules, in their order
 * @throws CaptureError RINGTAP_BAD_OPTION, which names line and column
 */
export function parseRules(text: string, source = 'rules'): InlineRule[] {
  if (typeof source !== 'string') throw bad(`parseRules(): source is what messages call the text, not ${show(source)}`);
  if (typeof text !== 'string') throw bad(`${source}: rules are text, not ${show(text)}`);
  const rules: InlineRule[] = [];
  const names = new Set<string>();
  for (const [i, whole] of text.split(/\r?\n/).entries()) {
    const line = whole.replace(/#.*/, '');
    if (line.trim() === '') continue;
    const rule = new Line(line, `${source}:${i + 1}`).read();
    if (names.has(rule.name)) throw bad(`${source}:${i + 1}:1: another rule has the name ${rule.name}`);
    names.add(rule.name);
    rules.push(rule);
  }
  return rules;
}

const isAddress = (text: string) => addressBytes(text) !== undefined;
const isNetwork = (text: string) => networkOf(text) !== undefined;
const isInterface = (text: string) => INTERFACE.test(text);
const isOwn = (text: string) => /^[^/]+(\/\d{1,3})?$/.test(text) && isAddress(text.split('/')[0]!);
const isCount = (text: string) => /^\d{1,7}$/.test(text);
const isPort = (text: string) => /^\d{1,5}$/.test(text);
const isSpan = (text: string) => /^\d{1,5}-\d{1,5}$/.test(text);
const isTime = (text: string) => /^\d{1,9}m?s$/.test(text);
const OWN = 'an address of ours, such as 10.1.0.5/24';

/** One rule. `where` is its source and line. */
class Line {
  readonly #line: string;
  readonly #where: string;
  readonly #words: readonly Word[];
  #at = 0;

  constructor(line: string, where: string) {
    this.#line = line;
    this.#where = where;
    this.#words = [...line.matchAll(/\S+/g)].map(({ 0: text, index }) => ({ text, column: index + 1 }));
  }

  read(): InlineRule {
    const name = this.#take('NAME:', (word) => word.endsWith(':') && NAME.test(word.slice(0, -1))).slice(0, -1);
    const rule = this.#rule(name, this.#kind());
    if (this.#words[this.#at] !== undefined) throw this.#fail('expected the end of the line');
    try {
      readRule(rule, this.#where);
    } catch (error) {
      if (error instanceof CaptureError) {
        throw bad(`${this.#where}:${this.#words[0]?.column ?? 1}: ${error.message}`, error.hint);
      }
      throw error;
    }
    return rule;
  }

  /** WHY the word behind it, too: an interface may have such a name. */
  #kind(): (typeof KINDS)[number] {
    const [word, next] = [this.#words[this.#at]?.text, this.#words[this.#at + 1]?.text];
    const kind = KINDS.find((one) => one === word);
    if (kind === undefined || (next !== undefined && isAddress(next))) return 'pair';
    this.#at++;
    return kind;
  }

  #rule(name: string, kind: (typeof KINDS)[number]): InlineRule {
    const from = this.#take('an interface', isInterface);
    if (kind === 'geneve') {
      const balancers = this.#take('a network of balancers, such as 10.1.0.0/24 or any', isNetwork);
      this.#sign('->');
      const address = this.#take('an address of this host', isOwn);
      const health = this.#option('health') ? { healthPort: Number(this.#take('a port', isPort)) } : {};
      return { name, kind, in: { interface: from, balancers, address }, ...health };
    }
    if (kind === 'pair') {
      const client = this.#take("the client's address", isAddress);
      this.#sign('->');
      const near = { interface: from, client, address: this.#take(OWN, isOwn), ...this.#via() };
      return { name, in: near, out: this.#out('gateway' in near || near.address.includes('/')) };
    }
    const clients = this.#take('a network of clients, such as 10.1.0.0/24 or any', isNetwork);
    this.#sign('->');
    const near = { interface: from, clients, address: this.#take(OWN, isOwn), ...this.#via() };
    return { name, kind, in: near, out: this.#out('gateway' in near || near.address.includes('/')), ...this.#bounds() };
  }

  #out(isComplete: boolean) {
    this.#take(isComplete ? '=>' : '=> or via', (word) => word === '=>');
    const to = this.#take('an interface', isInterface);
    const address = this.#take(OWN, isOwn);
    this.#sign('->');
    const server = this.#take("the server's address", isAddress);
    return { interface: to, address, server, ...this.#via() };
  }

  #via(): { gateway?: string } {
    return this.#option('via') ? { gateway: this.#take('the address of a gateway', isAddress) } : {};
  }

  #bounds(): Pick<InlineNatRule, 'ports' | 'limits' | 'timeouts'> {
    const [limits, timeouts]: Record<string, number>[] = [{}, {}];
    let ports: [number, number] | undefined;
    const seen = new Set<string>();
    for (let word = this.#words[this.#at]; word !== undefined; word = this.#words[this.#at]) {
      if (seen.has(word.text)) throw this.#fail(`expected each bound once`);
      seen.add(word.text);
      const limit = keyOf(LIMITS, word.text);
      const timeout = keyOf(TIMEOUTS, word.text);
      if (word.text === 'ports') {
        this.#at++;
        const [first, last] = this.#take('ports, such as 1024-65535', isSpan).split('-').map(Number);
        ports = [first!, last!];
      } else if (limit !== undefined) {
        this.#at++;
        limits![limit] = Number(this.#take('a number', isCount));
      } else if (timeout !== undefined) {
        this.#at++;
        const text = this.#take('a time, such as 120s or 500ms', isTime);
        timeouts![timeout] = Number.parseInt(text, 10) * (text.endsWith('ms') ? 1 : 1000);
      } else {
        throw this.#fail(
          `expected the end of the line, or ports, ${[...Object.values(LIMITS), ...Object.values(TIMEOUTS)].join(', ')}`,
        );
      }
    }
    return {
      ...(ports === undefined ? {} : { ports }),
      ...(Object.keys(limits!).length === 0 ? {} : { limits: limits! }),
      ...(Object.keys(timeouts!).length === 0 ? {} : { timeouts: timeouts! }),
    };
  }

  #sign(sign: string): void {
    this.#take(sign, (word) => word === sign);
  }

  /** Whether this word comes next; it is taken then. */
  #option(word: string): boolean {
    if (this.#words[this.#at]?.text !== word) return false;
    this.#at++;
    return true;
  }

  #take(what: string, is: (text: string) => boolean): string {
    const word = this.#words[this.#at];
    if (word === undefined || !is(word.text)) throw this.#fail(`expected ${what}`);
    this.#at++;
    return word.text;
  }

  #fail(what: string): CaptureError {
    const word = this.#words[this.#at];
    const column = word?.column ?? this.#line.trimEnd().length + 1;
    return bad(`${this.#where}:${column}: ${what}${word === undefined ? '' : `, not ${show(word.text)}`}`);
  }
}

function keyOf(words: Readonly<Record<string, string>>, word: string): string | undefined {
  return Object.keys(words).find((key) => words[key] === word);
}

/**
 * Writes a rule as {@link parseRules} reads it.
 * @example
 * const near = { interface: 'eth1', client: '10.1.0.2', address: '10.1.0.5/24' };
 * const far = { interface: 'eth2', address: '10.2.0.5/24', server: '10.2.0.2' };
 * console.log(formatRule({ name: 'web', in: near, out: far }));
 * @param rule as `openInline()` takes it
 * @returns one line, without its end
 * @throws CaptureError RINGTAP_BAD_OPTION, RINGTAP_UNKNOWN_OPTION: it is no rule
 */
export function formatRule(rule: InlineRule): string {
  const { rule: read } = readRule(rule, 'formatRule()');
  if (read.kind === 'geneve') return formatGeneve(read);
  const via = (gateway: string | undefined) => (gateway === undefined ? '' : ` via ${gateway}`);
  const { name, in: near, out: far } = read;
  const who = 'client' in near ? `${near.interface} ${near.client}` : `nat ${near.interface} ${near.clients}`;
  const from = `${who} -> ${near.address}${via(near.gateway)}`;
  const to = `${far.interface} ${far.address} -> ${far.server}${via(far.gateway)}`;
  return `${name}: ${from} => ${to}${read.kind === 'nat' ? formatBounds(read) : ''}`;
}

function formatGeneve({ name, in: near, healthPort }: InlineGeneveRule): string {
  const health = healthPort === undefined ? '' : ` health ${healthPort}`;
  return `${name}: geneve ${near.interface} ${near.balancers} -> ${near.address}${health}`;
}

function formatBounds({ ports, limits = {}, timeouts = {} }: InlineNatRule): string {
  const time = (ms: number) => (ms % 1000 === 0 ? `${ms / 1000}s` : `${ms}ms`);
  return [
    ...(ports === undefined ? [] : [`ports ${ports[0]}-${ports[1]}`]),
    ...Object.entries(limits).map(([key, value]) => `${LIMITS[key as keyof typeof LIMITS]} ${value}`),
    ...Object.entries(timeouts).map(([key, value]) => `${TIMEOUTS[key as keyof typeof TIMEOUTS]} ${time(value!)}`),
  ]
    .map((part) => ` ${part}`)
    .join('');
}
