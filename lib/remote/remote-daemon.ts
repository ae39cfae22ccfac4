// What is told of a daemon that has connected. WHY apart: whoever compiles against it may have no types of Node.
/** An interface of a daemon's host. */
export interface DaemonInterface {
  /** Its name there. */
  readonly name: string;
  /** What it is, in words; empty where nobody says. */
  readonly description: string;
  /** Whether it is switched on. */
  readonly up: boolean;
  /** Whether it is the loopback of that host. */
  readonly loopback: boolean;
  /** IP addresses with prefix length. */
  readonly addresses: readonly string[];
}

/** A daemon that has connected to {@link listen}. */
export interface RemoteDaemon {
  /** Its IP address. */
  readonly address: string;
  /** The TCP port that it connected from. */
  readonly port: number;
  /** What it has to capture from, in its own order. */
  readonly interfaces: readonly DaemonInterface[];
}

/** Which of a daemon's interfaces is captured from: its name, or undefined for none, which sends the daemon away. */
export type ChooseInterface = (daemon: RemoteDaemon) => string | undefined | Promise<string | undefined>;
