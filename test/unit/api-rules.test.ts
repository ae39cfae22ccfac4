// What `npm run api` refuses: docstrings that leave their reader alone.
import ts from 'typescript';
import { expect, test } from 'vitest';
import { faultsOf } from '../../scripts/api/rules.mjs';

/** The faults of declarations, without the entry's name. */
function faults(source: string): string[] {
  const file = ts.createSourceFile('entry.d.ts', source, ts.ScriptTarget.ES2022, true);
  const exported = file.statements.map((node) => ({
    name: (node as ts.FunctionDeclaration).name!.text,
    nodes: [node],
  }));
  return faultsOf({ name: 'x' }, exported, new Set(['RINGTAP_BUSY'])).map((fault) => fault.replace('x: ', ''));
}

const FULL = `
/**
 * Opens it.
 * @param path where it is
 * @param sizeBytes how long it may get
 * @throws CaptureError RINGTAP_BUSY
 * @example
 * opened('a', 1);
 */
export declare function opened(path: string, sizeBytes: number): void;`;

test('a docstring that says everything is fine', () => {
  expect(faults(FULL)).toEqual([]);
});

test.each([
  ['no docstring', /\/\*\*[\s\S]*\*\//, '', 'opened has no docstring'],
  [
    'nothing about what it throws',
    ' * @throws CaptureError RINGTAP_BUSY\n',
    '',
    'opened does not say what it @throws (a code, or nothing)',
  ],
  ['a code that no table has', 'RINGTAP_BUSY', 'RINGTAP_BUSIER', 'opened names RINGTAP_BUSIER, which no table has'],
  ['no example', " * @example\n * opened('a', 1);\n", '', 'opened is in no @example'],
  [
    'a parameter of which nothing is told',
    ' * @param path where it is\n',
    '',
    'opened does not tell of its parameter path',
  ],
  ['a number without a unit', /sizeBytes/g, 'size', 'opened takes size, a number without a unit'],
])('with %s it is refused', (_, what, by, fault) => {
  expect(faults(FULL.replace(what, by))).toEqual([fault]);
});

test('a method is shown by the example of any other declaration, a number of a type needs a unit, too', () => {
  const source = `
/**
 * A thing.
 * @example
 * thing.go();
 */
export interface Thing {
  /** How long it is. */
  readonly length: number;
  /** ms that it waits. */
  readonly patience: number;
  /**
   * Goes.
   * @throws nothing
   */
  go(): void;
  /**
   * Stays.
   * @throws nothing
   */
  stay(): void;
}`;
  expect(faults(source)).toEqual(['Thing.length is a number without a unit', 'Thing.stay is in no @example']);
});
