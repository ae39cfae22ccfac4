// A terminal that a program has for itself: keys as they are pressed, and everything as it was when it ends.

const ENTER = '\x1b[?1049h\x1b[?25l';
const LEAVE = '\x1b[?25h\x1b[?1049l';
const HOME = '\x1b[H';
const CLEAR_LINE = '\x1b[K';
const CLEAR_REST = '\x1b[J';

const CTRL_C = '\x03';
const CTRL_Z = '\x1a';

/** What is to be seen in so much room: lines. */
export type Draw = (size: { columns: number; rows: number }) => string;

// A terminal that goes sends SIGHUP.
const ignore = () => {};

/** Is there one? */
export const hasScreen = (): boolean => process.stdin.isTTY === true && process.stdout.isTTY === true;

/** Takes the terminal until `leave()`, or the end of the process. */
export class Screen {
  readonly #draw: Draw;
  readonly #press: (key: string) => void;
  #left = false;

  /** @param press takes a key; Ctrl-C, Ctrl-Z and q are none */
  constructor(draw: Draw, press: (key: string) => void) {
    this.#draw = draw;
    this.#press = press;
    this.#take();
    process.stdin.on('data', this.#onData).on('error', ignore);
    process.stdout.on('resize', this.redraw);
    process.on('SIGCONT', this.#onContinue);
    process.on('exit', this.leave);
  }

  readonly redraw = (): void => {
    if (this.#left) return;
    const { columns, rows } = process.stdout;
    // A terminal that does not know its size says 0.
    const lines = this.#draw({ columns: columns || 80, rows: rows || 24 }).split('\n');
    process.stdout.write(`${HOME}${lines.map((line) => `${line}${CLEAR_LINE}`).join('\n')}${CLEAR_REST}`);
  };

  /** Everything is as it was before; may be called again. */
  readonly leave = (): void => {
    if (this.#left) return;
    this.#left = true;
    process.stdin.off('data', this.#onData);
    process.stdout.off('resize', this.redraw);
    process.off('SIGCONT', this.#onContinue);
    process.off('exit', this.leave);
    this.#give();
  };

  #take(): void {
    process.stdin.setRawMode(true);
    process.stdin.resume();
    process.stdout.write(ENTER);
  }

  #give(): void {
    try {
      process.stdout.write(LEAVE);
      process.stdin.setRawMode(false);
    } catch {
      // The terminal has gone.
    }
    process.stdin.pause();
  }

  readonly #onData = (data: Buffer): void => {
    for (const key of data.toString('latin1')) {
      // What a terminal does where a program does not read keys.
      if (key === CTRL_C || key === 'q') process.kill(process.pid, 'SIGINT');
      else if (key === CTRL_Z) this.#stop();
      else this.#press(key);
    }
    this.redraw();
  };

  #stop(): void {
    this.#give();
    process.kill(process.pid, 'SIGSTOP');
  }

  readonly #onContinue = (): void => {
    this.#take();
    this.redraw();
  };
}
