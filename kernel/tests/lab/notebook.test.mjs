//! The French notebook as its reader meets it: in JupyterLab, cell by cell with the mouse, with
//! the endless cell stopped, run again, and a later cell after it.
//!
//! Env: `JUPYTER` and `CHROMIUM` name the programs, `NOTEBOOK` another copy of the notebook,
//! `SCREENSHOTS` the folder for the pictures (default: a new temporary one, printed).

import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Lab } from "./lab.mjs";

/** What the first coroutine shows, whichever way it is waited for. */
const MORCEAUX = {
  lines: ["run début", "run milieu", "run fin"],
  seconds: 1.5,
  result: '"run par morceaux"',
};

/**
 * One row for each code cell, in the notebook's order. A cell shows what its row says and nothing
 * else: without `lines` it prints nothing, without `result` it shows no value, and never an error.
 * - `name`: what the report calls the cell;
 * - `lines`: the printed lines; `seconds`: the pause between the first and the last of them, as
 *   they appear in the page (output that is held back until the end of the cell fails here);
 * - `result`: the value shown, a text or a pattern; `svg`: true for a cell that draws;
 * - `endless`: true for the cell with the tag `skip-execution`;
 * - `ticks`: true for the cell that spawns the tasks which the endless cell runs. It shows nothing
 *   of its own; then their lines come under it, since output belongs to the cell that spawned.
 */
const CELLS = [
  { name: "imports" },
  { name: "coroutine" },
  { name: "la fonction", result: /morceaux/ },
  { name: "la future", result: /future.*morceaux/i },
  { name: "boucle" },
  { name: "run_until_complete", ...MORCEAUX },
  { name: "await", ...MORCEAUX },
  { name: "de quoi mesurer" },
  {
    name: "plusieurs traitements",
    lines: ["run1 début", "run2 début", "run1 milieu", "run2 milieu", "run1 fin", "run2 fin"],
    seconds: 1.5,
    result: '("run1 par morceaux", "run2 par morceaux")',
  },
  { name: "image des traitements", svg: true },
  { name: "famine" },
  {
    name: "famine en action",
    lines: ["run1 début", "run2 début", "run1 milieu", "run1 fin", "run2 milieu", "run2 fin"],
    seconds: 2.5,
    result: '("run1 par famine", "run2 par famine")',
  },
  { name: "image de la famine", svg: true },
  { name: "nouvelle boucle" },
  { name: "file d'attente" },
  { name: "producer" },
  { name: "consumer" },
  { name: "dans la boucle", ticks: true },
  { name: "boucle sans fin", endless: true },
];

const NOTEBOOK = process.env.NOTEBOOK ?? besideTests("notebooks/les-concepts-de-base.ipynb");
const SCREENSHOTS =
  process.env.SCREENSHOTS ?? path.join(os.tmpdir(), `morceaux-screenshots-${process.pid}`);
const ENDLESS = CELLS.findIndex((cell) => cell.endless);
const TICKING = CELLS.findIndex((cell) => cell.ticks);
const ENDLESS_TAG = "skip-execution";

const WHOLE_TEST_SECONDS = 600;
/** What is left of it for the report of a failure and for closing. */
const REPORT_SECONDS = 30;
/** Before a first cell runs, everything below it may have to be compiled. */
const FIRST_CELL_SECONDS = 180;
const CELL_SECONDS = 60;
/** From a kernel that says idle to outputs that stand in the page. */
const SHOWN_SECONDS = 10;
const TICK_SECONDS = 30;
/** The kernel ends a cell that ignores the stop after 5 s, with all variables: that is too late. */
const STOP_SECONDS = 4;
/** What a browser on a loaded machine may take off or add to a pause that it shows. */
const PAUSE_EARLY = 0.4;
const PAUSE_LATE = 1.5;

let lab;
/** What each cell showed when it had ended, to be found unchanged at the end; by index. */
const shown = new Map();
let failed = false;

before(async () => {
  lab = await Lab.start(WHOLE_TEST_SECONDS - REPORT_SECONDS);
});

after(async () => {
  await lab?.close();
  console.log(`screenshots: ${SCREENSHOTS}`);
});

test("the French notebook in JupyterLab", { timeout: WHOLE_TEST_SECONDS * 1000 }, async (t) => {
  await step(t, "has the cells of the table", [], checkCells);
  await step(t, "opens", [], () => lab.open(NOTEBOOK));
  for (const [index, expected] of CELLS.entries()) {
    if (expected.endless) continue;
    await step(t, `cell ${index}: ${expected.name}`, [index], () => runPlainCell(index, expected));
  }
  await step(t, "picture of it all", [], () => lab.screenshotNotebook(picture("notebook")));

  const loop = [ENDLESS, TICKING];
  await step(t, "the endless cell ticks until stopped", loop, () => tickAndStop("stopped"));
  await step(t, "run again, it goes on ticking", loop, () => tickAndStop("stopped-again"));
  await step(t, "a later cell runs", [], runLaterCell);
  await step(t, "no cell has changed meanwhile", [], checkUnchanged);
});

/**
 * A named part of the test. After the first that fails the others are skipped: they would only
 * wait in vain. `cells` are those whose outputs the report of a failure shows.
 */
async function step(t, name, cells, body) {
  if (failed) return t.test(name, { skip: "an earlier step failed" }, () => {});
  return t.test(name, async () => {
    try {
      await body();
    } catch (error) {
      failed = true;
      await report(name, cells);
      throw error;
    }
  });
}

/** Saves and prints what tells why a step failed; must not itself hide the failure. */
async function report(name, cells) {
  const file = picture(`failed ${name}`.replaceAll(/[^\p{L}\d]+/gu, "-"));
  const parts = [
    () => (cells.length > 0 ? lab.screenshotCell(cells[0], file) : lab.screenshot(file)),
    ...cells.map((cell) => async () => console.error(`cell ${cell}:`, await lab.read(cell))),
    () => console.error(`end of the server's log:\n${lab.server.logTail()}`),
  ];
  for (const part of parts) {
    try {
      await part();
    } catch (error) {
      console.error(`no report: ${error.message}`);
    }
  }
}

/** The table and the notebook speak of the same cells. */
function checkCells() {
  const { cells } = JSON.parse(fs.readFileSync(NOTEBOOK, "utf8"));
  const code = cells.filter((cell) => cell.cell_type === "code");
  assert.equal(code.length, CELLS.length, "code cells in the notebook, and in the table");

  const tagged = code.map((cell) => Boolean(cell.metadata.tags?.includes(ENDLESS_TAG)));
  const endless = CELLS.map((cell) => Boolean(cell.endless));
  assert.deepEqual(tagged, endless, `cells with the tag ${ENDLESS_TAG}, and endless in the table`);
}

async function runPlainCell(index, expected) {
  await lab.run(index);
  await lab.finished(index, index === 0 ? FIRST_CELL_SECONDS : CELL_SECONDS);
  const seen = await lab.outputs(index, SHOWN_SECONDS, (cell) => checkOutputs(cell, expected));
  if (expected.seconds) checkPause(seen.times, expected.seconds);
  shown.set(index, seen);
}

function checkOutputs(seen, { lines = [], result, svg = false }) {
  assert.deepEqual(seen.errors, [], "errors");
  assert.deepEqual(seen.lines, lines, "printed lines");
  assert.equal(seen.results.length, result === undefined ? 0 : 1, `results: ${seen.results}`);
  if (result instanceof RegExp) assert.match(seen.results[0], result);
  else assert.equal(seen.results[0], result);
  assert.equal(seen.svgs > 0, svg, `${seen.svgs} pictures`);
}

/** The lines appeared over the time that the cell's pauses take. */
function checkPause(times, seconds) {
  const measured = times.at(-1) - times[0];
  assert.ok(
    measured > seconds - PAUSE_EARLY && measured < seconds + PAUSE_LATE,
    `${measured.toFixed(2)} s from the first line to the last, not ${seconds} s`,
  );
}

/**
 * Runs the endless cell and stops it after two new ticks or more. All ticks that were received up
 * to then, in earlier runs too, are numbered from 1: none is lost, none doubled.
 */
async function tickAndStop(name) {
  const before = (await lab.read(TICKING)).lines.length;
  await lab.run(ENDLESS);
  const { times } = await lab.outputs(TICKING, TICK_SECONDS, ({ lines }) => {
    assert.ok(lines.length >= before + 2, `two ticks after the first ${before} of ${lines}`);
  });
  checkPause(times.slice(before, before + 2), 1);
  checkOutputs(await lab.read(ENDLESS), {});
  await lab.screenshotCell(ENDLESS, picture(`${name}-1-running`));

  await lab.stop();
  await lab.finished(ENDLESS, STOP_SECONDS);
  const ended = await lab.outputs(ENDLESS, SHOWN_SECONDS, (cell) =>
    checkOutputs(cell, { lines: ["bye"] }),
  );
  const ticked = await lab.read(TICKING);
  checkOutputs(ticked, { lines: ticked.lines.map((_, index) => `received tick${index + 1}`) });
  shown.set(ENDLESS, ended).set(TICKING, ticked);
  await lab.screenshotCell(ENDLESS, picture(`${name}-2-bye`));
}

async function runLaterCell() {
  const index = await lab.appendCell("1 + 1");
  await lab.run(index);
  await lab.finished(index, CELL_SECONDS);
  await lab.outputs(index, SHOWN_SECONDS, (cell) => checkOutputs(cell, { result: "2" }));
}

/** Nothing came late under a cell that had ended, from another cell or from a loop at rest. */
async function checkUnchanged() {
  for (const [index, seen] of shown) {
    assert.deepEqual(await lab.read(index), seen, `cell ${index}: ${CELLS[index].name}`);
  }
}

function picture(name) {
  return path.join(SCREENSHOTS, `${name}.png`);
}

/** A path relative to the repository, of which this file lies three folders below the top. */
function besideTests(relative) {
  return fileURLToPath(new URL(`../../../${relative}`, import.meta.url));
}
