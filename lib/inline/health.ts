// Health checks of load balancers: a port of the host's that answers for as long as packets are sent on.
import { createServer, type Server, type Socket } from 'node:net';
import { CaptureError } from '../errors/errors.js';
import type { ReadRule } from './rules.js';

const MOST_CHECKS = 64;
const PATIENCE_MS = 5000;
/** What a check asks is in its first segment; whatever it asks for, this is the answer. */
const answer = (isWell: boolean) =>
  `HTTP/1.1 ${isWell ? '200 OK' : '503 Service Unavailable'}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`;

interface Port {
  readonly rule: string;
  readonly host: string;
  readonly port: number;
}

/** The ports of rules that have one. */
export class HealthPorts {
  readonly #isWell: () => boolean;
  readonly #servers = new Map<string, Server>();
  readonly #sockets = new Set<Socket>();

  /** @param isWell whether the forwarder is at work */
  constructor(isWell: () => boolean) {
    this.#isWell = isWell;
  }

  /**
   * Listens at the ports of these rules, too. Those of others go with {@link keep}.
   * @throws CaptureError RINGTAP_BUSY, RINGTAP_SYSTEM; none is left of those that are new then
   */
  async add(rules: readonly ReadRule[]): Promise<void> {
    const wanted = new Map(portsOf(rules).map((port) => [port.key, port]));
    const fresh = [...wanted.values()].filter(({ key }) => !this.#servers.has(key));
    const opened: string[] = [];
    try {
      for (const { key, ...port } of fresh) {
        this.#servers.set(key, await this.#listen(port));
        opened.push(key);
      }
    } catch (error) {
      for (const key of opened) this.#end(key);
      throw error;
    }
  }

  /** Those of these rules, and no others. */
  keep(rules: readonly ReadRule[]): void {
    const kept = new Set(portsOf(rules).map(({ key }) => key));
    for (const key of [...this.#servers.keys()]) if (!kept.has(key)) this.#end(key);
  }

  close(): void {
    this.keep([]);
    for (const socket of this.#sockets) socket.destroy();
  }

  #end(key: string): void {
    this.#servers.get(key)?.close();
    this.#servers.delete(key);
  }

  async #listen({ rule, host, port }: Port): Promise<Server> {
    const server = createServer((socket) => this.#answer(socket));
    server.maxConnections = MOST_CHECKS;
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject).listen({ host, port }, resolve);
      });
    } catch (cause) {
      const { code, message } = cause as NodeJS.ErrnoException;
      const what = `rule ${rule}: health checks at ${host} port ${port}: ${message}`;
      if (code !== 'EADDRINUSE') throw new CaptureError('RINGTAP_SYSTEM', what, { cause });
      const hint = 'Somebody listens there: take another healthPort, and tell the balancer.';
      throw new CaptureError('RINGTAP_BUSY', what, { cause, hint });
    }
    server.on('error', () => {}).unref();
    return server;
  }

  #answer(socket: Socket): void {
    this.#sockets.add(socket.on('error', () => {}).once('close', () => this.#sockets.delete(socket)));
    socket.setTimeout(PATIENCE_MS, () => socket.destroy()).unref();
    if (!this.#isWell()) return void socket.resetAndDestroy();
    socket.once('data', () => socket.end(answer(this.#isWell())));
  }
}

function portsOf(rules: readonly ReadRule[]): (Port & { readonly key: string })[] {
  return rules.flatMap(({ rule, sides: [near] }) => {
    if (rule.kind !== 'geneve' || rule.healthPort === undefined) return [];
    const [host, port] = [near.address, rule.healthPort];
    return [{ key: `${host} ${port}`, rule: rule.name, host, port }];
  });
}
