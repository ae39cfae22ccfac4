// Where `ringtap flows` puts records besides the terminal: collectors and files.
import { readFileSync } from 'node:fs';
import { type Command, InvalidArgumentError } from 'commander';
import { CaptureError } from '../errors/errors.js';
import type { FlowExporter } from '../export/index.js';
import type { FlowBatch, FlowMeter } from '../flow/index.js';
import type { Capture } from '../index.js';
import { tell, UsageError } from './errors.js';
import { Listeners } from './flow-refusals.js';
import { integer } from './format.js';
import { type TlsFlags, tlsFrom } from './tls.js';

export interface FlowOutputFlags extends TlsFlags {
  json?: true;
  csv?: true;
  ipfix?: string;
  netflow?: string;
  write?: string;
  force?: true;
  enterprise?: number;
}

/** What exports. WHY not imported above: most runs need none of it, and it is a third of what they would load. */
const exporting = () => import('../export/index.js');
type Exporting = Awaited<ReturnType<typeof exporting>>;

const FILES = ['.ipfix', '.parquet', '.csv', '.json', '.jsonl', '.ndjson'];

export function addFlowOutput(command: Command): Command {
  return command
    .option('--ipfix <collector>', 'send to host:port by UDP, or tcp://host:port, tls://host:port, as IPFIX')
    .option('--netflow <collector>', 'send to host:port by UDP, as NetFlow v9')
    .option('-w, --write <file>', `write a file: ${FILES.join(', ')}; of any name with --csv or --json`)
    .option('--force', 'overwrite an existing file')
    .option(
      '--enterprise <number>',
      'IPFIX: tell tunnels, round trips and more by elements of this number',
      parseNumber,
    );
}

function parseNumber(text: string): number {
  const number = Number(text);
  if (/^\d{1,10}$/.test(text) && number <= 0xffff_ffff) return number;
  throw new InvalidArgumentError('Expected a private enterprise number, such as 32473.');
}

/** Whether TLS is for a collector: what the options say of it is not of the capture then. */
export function isForCollector({ ipfix }: FlowOutputFlags): boolean {
  return ipfix !== undefined && /^tls:/i.test(ipfix);
}

/** Whether anything but the terminal gets records. */
export function hasOutput({ ipfix, netflow, write }: FlowOutputFlags): boolean {
  return [ipfix, netflow, write].some((one) => one !== undefined);
}

/** Exporters that were asked for. */
export class FlowOutput {
  readonly #exporters: readonly FlowExporter[];
  readonly #listeners: ReadonlyMap<FlowExporter, Listeners>;
  readonly #meter: FlowMeter;
  readonly #exporting: Exporting;
  /** How to end the waiting for each exporter that is waited for. */
  readonly #waiting = new Set<() => void>();
  #isHurried = false;
  #failure: unknown;

  /** @throws CaptureError */
  static async open(flags: FlowOutputFlags, capture: Capture, meter: FlowMeter): Promise<FlowOutput> {
    const { write } = flags;
    if (write !== undefined && capture.backend === 'file') {
      const { refuseInput } = await import('./trace/output-file.js');
      refuseInput(write, [capture.plan.target]);
    }
    const module = await exporting();
    const exporters: FlowExporter[] = [];
    try {
      for (const opening of openings(module, flags, capture)) exporters.push(await opening());
    } catch (error) {
      await Promise.allSettled(exporters.map((exporter) => exporter.close()));
      throw error;
    }
    return new FlowOutput(exporters, meter, module);
  }

  private constructor(exporters: readonly FlowExporter[], meter: FlowMeter, module: Exporting) {
    this.#exporting = module;
    this.#exporters = exporters;
    this.#listeners = new Map(exporters.map((exporter) => [exporter, new Listeners()]));
    this.#meter = meter;
  }

  async take(flows: FlowBatch): Promise<void> {
    for (const exporter of this.#exporters) {
      if (exporter instanceof this.#exporting.IpfixExporter) exporter.account(this.#meter.stats());
      const listeners = this.#listeners.get(exporter);
      listeners?.sending();
      await this.#unlessHurried(exporter.write(flows));
      listeners?.look(exporter.stats());
    }
  }

  /** From now on nobody is waited for but by {@link end}, which gives up in time what a collector does not take. */
  hurry(): void {
    this.#isHurried = true;
    for (const go of this.#waiting) go();
  }

  #unlessHurried(written: Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.add(resolve);
      const done = () => this.#waiting.delete(resolve);
      written.then(
        () => {
          done();
          resolve();
        },
        (error: unknown) => {
          done();
          if (this.#isHurried) this.#failure ??= error;
          reject(error);
        },
      );
      if (this.#isHurried) resolve();
    });
  }

  /** Closes all of them, also where one fails. @throws CaptureError also where records were not sent */
  async end(): Promise<void> {
    const ends = await Promise.allSettled(this.#exporters.map((exporter) => exporter.close()));
    for (const exporter of this.#exporters) tell(summaryOf(this.#exporting, exporter));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
    if (this.#failure !== undefined) throw this.#failure;
    for (const [exporter, listeners] of this.#listeners) {
      checkSent(exporter);
      listeners.look(exporter.stats());
      if (listeners.areNone) throw nobodyListened(exporter);
    }
  }
}

function* openings(
  { CsvExporter, IpfixExporter, JsonLinesExporter, NetflowExporter, ParquetExporter }: Exporting,
  flags: FlowOutputFlags,
  capture: Capture,
): Generator<() => Promise<FlowExporter>> {
  const { ipfix, netflow, write, enterprise, force } = flags;
  const { mode } = capture.plan;
  // WHY: a capture must not stand still for a collector; a trace can wait, and so can a pipe and who makes packets up.
  const canWait = ['read', 'stream', 'memory'].includes(mode);
  const told = { ...interfaceOf(capture), overflow: canWait ? 'wait' : 'drop' } as const;
  const own = enterprise === undefined ? {} : { enterprise };
  if (ipfix !== undefined)
    yield () => IpfixExporter.open(ipfix, { ...told, ...own, ...(isForCollector(flags) ? tlsFrom(flags, true) : {}) });
  if (netflow !== undefined) yield () => NetflowExporter.open(netflow, told);
  if (write === undefined) return;
  const overwrite = force ?? false;
  if (flags.csv) yield () => CsvExporter.open(write, { overwrite });
  else if (flags.json || /\.(json|jsonl|ndjson)$/i.test(write))
    yield () => JsonLinesExporter.open(write, { overwrite });
  else if (/\.csv$/i.test(write)) yield () => CsvExporter.open(write, { overwrite });
  else if (/\.parquet$/i.test(write)) yield () => ParquetExporter.open(write, { overwrite });
  else yield () => IpfixExporter.open(`file:${write}`, { ...interfaceOf(capture), ...own, overwrite });
}

/** Sources that speak TLS by themselves. */
const HAS_TLS = /^(tcp|rpcaps?):/i;

/** @throws UsageError what goes with none of the outputs */
export function checkOutput(flags: FlowOutputFlags, source: string): void {
  const { ipfix, netflow, write, enterprise, json, csv } = flags;
  const fault = fileFault(flags);
  if (fault !== undefined) throw new UsageError(fault);
  const isFile = write !== undefined && /\.ipfix$/i.test(write) && !json && !csv;
  if (enterprise !== undefined && ipfix === undefined && !isFile) {
    throw new UsageError('--enterprise is about IPFIX', 'Add --ipfix COLLECTOR, or -w FILE.ipfix.');
  }
  const isAsked = tlsFrom(flags, false).tls !== undefined && (ipfix ?? netflow) !== undefined;
  if (!isAsked || isForCollector(flags) || HAS_TLS.test(source)) return;
  if (ipfix === undefined) throw new UsageError('NetFlow v9 goes by UDP, without TLS', 'Use --ipfix tls://HOST:PORT.');
  const to = ipfix.replace(/^\w+:\/\//, '');
  throw new UsageError(`--ipfix ${ipfix}: TLS is asked for by the collector's name`, `Write --ipfix tls://${to}.`);
}

/** @returns what is wrong with the name of a file that is to be written */
function fileFault({ write, json, csv }: FlowOutputFlags): string | undefined {
  if (write === '-') return json || csv ? undefined : '-w -: standard output takes lines only: add --csv or --json';
  if (write === undefined || json || csv || FILES.some((suffix) => write.toLowerCase().endsWith(suffix)))
    return undefined;
  return `-w ${write}: the name does not say the format: end it in ${FILES.join(', ')}, or add --csv or --json`;
}

/** The interface of a capture that has one. */
function interfaceOf({ uri, plan }: Capture): { readonly interface?: { readonly name: string } } {
  const [, name] = /^(?:[A-Za-z][A-Za-z0-9+.-]+:)?([^\s/?]+)/.exec(uri) ?? [];
  if (plan.mode === 'read' || name === undefined) return {};
  const isHere = readFileSync('/proc/net/dev', 'latin1')
    .split('\n')
    .some((line) => line.trim().startsWith(`${name}:`));
  return isHere ? { interface: { name } } : {};
}

/** What a file did not take has been told by then: `write()` has failed. */
function checkSent(exporter: FlowExporter): void {
  const { records, notSent } = exporter.stats();
  const { file: _, ...causes } = notSent;
  const lost = Object.values(causes).reduce((sum, count) => sum + count, 0);
  if (lost === 0) return;
  throw new CaptureError(
    'RINGTAP_REMOTE_UNREACHABLE',
    `${integer(lost)} of ${integer(records)} records were not sent`,
    {
      hint: 'The collector, or the way to it, is too slow or is gone: mend that, or write a file (-w).',
    },
  );
}

function nobodyListened(exporter: FlowExporter): CaptureError {
  const message = `${integer(exporter.stats().records)} records were sent, and the collector's host refused them: nobody listened there`;
  return new CaptureError('RINGTAP_REMOTE_UNREACHABLE', message, {
    hint: 'Start the collector first, check the port, or write a file (-w).',
  });
}

function summaryOf({ IpfixExporter, NetflowExporter }: Exporting, exporter: FlowExporter): string {
  const { sent, messages, bytes, notSent, refusals } = exporter.stats();
  const causes = Object.entries(notSent).filter(([, count]) => count > 0);
  const lost = causes.map(([cause, count]) => `, ${integer(count)} not (${cause})`).join('');
  const datagrams = refusals === 1 ? 'datagram was' : 'datagrams were';
  // WHY not exactly: a host may answer to one of many only.
  const nobody =
    refusals === 0 ? '' : `; at least ${integer(refusals)} ${datagrams} refused: nobody listened there then`;
  const hasMessages = exporter instanceof IpfixExporter || exporter instanceof NetflowExporter;
  const form = hasMessages ? `exported in ${integer(messages)} messages of` : 'written,';
  return `${integer(sent)} records ${form} ${integer(bytes)} bytes${lost}${nobody}`;
}
