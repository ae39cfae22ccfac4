/** The host that a capture's packets come from, where it connected to `listen()`. */
export interface Peer {
  /** Its IP address. */
  readonly address: string;
  /** The TCP port that it connected from. */
  readonly port: number;
  /** What it captures from, by its own name; empty where nobody tells. */
  readonly interface: string;
  /** Number of its connections for this interface since `listen()`, this one included: above 1 it has come back. */
  readonly connection: number;
}
