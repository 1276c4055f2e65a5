//! What cells and tasks show, as a person sees it in JupyterLab: colours, lines that are written
//! over, values that change in their place, pictures, questions, and all that after a reload.

import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { Lab } from "./lab.mjs";

const SCREENSHOTS =
  process.env.SCREENSHOTS ?? path.join(os.tmpdir(), `morceaux-screenshots-${process.pid}`);
const WHOLE_TEST_SECONDS = 420;
/** Before a first cell runs, everything below it may have to be compiled. */
const FIRST_CELL_SECONDS = 180;
const CELL_SECONDS = 60;
const SHOWN_SECONDS = 10;

const CODES = {
  colours: String.raw`println!("\x1b[31mred\x1b[0m plain"); eprintln!("\x1b[1;32mgreen\x1b[0m");`,
  line: String.raw`for step in 0..=20 {
    print!("\r{:3} % done", step * 5);
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
}`,
  place: `let bar = display(&Html("<meter value=0></meter> 0"));
let steps = tokio::spawn(async move {
    for step in 1..=40 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        bar.update(&Html(format!("<meter value={}></meter> {step}", step as f64 / 40.0)));
    }
});`,
  plot: String.raw`let points: String = (0..=100).map(|x| {
    let (x, y) = (x as f64 * 4.0, 60.0 - 50.0 * (x as f64 / 10.0).sin());
    format!("{x:.1},{y:.1} ")
}).collect();
Svg(format!("<svg xmlns='http://www.w3.org/2000/svg' width='400' height='120'>\
<polyline points='{points}' fill='none' stroke='steelblue' stroke-width='2'/></svg>"))`,
  table: `#[derive(Debug)] struct Planet { name: &'static str, moons: u8 }
Table([Planet { name: "Earth", moons: 1 }, Planet { name: "Mars", moons: 2 }])`,
  question: `let name = morceaux::input("Your name? ").await; println!("Hello {name}");`,
  // More than the server passes on within its three seconds, in lines long enough for the page.
  flood: `for line in 0..40_000 { println!("{line:0100}"); }`,
  ticking: `let ticking = tokio::spawn(async {
    for tick in 1.. {
        println!("tick {tick}");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
});`,
  later: `println!("after the reload");`,
};
const NAMES = Object.keys(CODES);

let lab;

before(async () => {
  lab = await Lab.start(WHOLE_TEST_SECONDS - 30);
  await lab.open(writeNotebook());
});

after(async () => {
  await lab?.close();
  console.log(`screenshots: ${SCREENSHOTS}`);
});

const options = { timeout: WHOLE_TEST_SECONDS * 1000 };

test("colours are colours", options, async () => {
  const index = await run("colours", FIRST_CELL_SECONDS);
  const cell = lab.cell(index);
  await lab.until(SHOWN_SECONDS, async () => {
    assert.equal(await cell.locator(".ansi-red-fg").textContent(), "red");
    assert.equal(await cell.locator(".ansi-green-fg, .ansi-green-intense-fg").textContent(), "green");
  });
  await picture("colours", index);
});

test("a line is written over", options, async () => {
  const index = NAMES.indexOf("line");
  await lab.run(index);
  const seen = new Set();
  await lab.until(CELL_SECONDS, async () => {
    const { lines } = await lab.read(index);
    assert.ok(lines.length <= 1, `one line, not ${lines}`);
    lines.forEach((line) => seen.add(line));
    assert.deepEqual(lines, ["100 % done"]);
  });
  assert.ok(seen.size > 2, `it moved: ${[...seen]}`);
  await lab.finished(index, CELL_SECONDS);
});

test("a value changes in its place, after its cell has ended", options, async () => {
  const index = await run("place");
  const seen = new Set();
  await lab.until(CELL_SECONDS, async () => {
    const { results } = await lab.read(index);
    assert.equal(results.length, 1);
    seen.add(results[0]);
    assert.equal(results[0], "40");
  });
  assert.ok(seen.size > 2, `it changed: ${[...seen]}`);
  await picture("place", index);
});

test("a plot is a picture", options, async () => {
  const index = await run("plot");
  await lab.outputs(index, SHOWN_SECONDS, ({ svgs }) => assert.equal(svgs, 1));
  await picture("plot", index);
});

test("a slice of structs is a table", options, async () => {
  const index = await run("table");
  await lab.until(SHOWN_SECONDS, async () => {
    const cells = await lab.cell(index).locator("td, th").allTextContents();
    assert.deepEqual(cells, ["name", "moons", "Earth", "1", "Mars", "2"]);
  });
  await picture("table", index);
});

test("a question is answered below its cell", options, async () => {
  const index = NAMES.indexOf("question");
  await lab.run(index);
  const field = lab.cell(index).locator("input.jp-Stdin-input");
  await field.waitFor({ timeout: CELL_SECONDS * 1000 });
  assert.match(await lab.cell(index).locator(".jp-Stdin-prompt").textContent(), /Your name\?/);
  await picture("question", index);
  await field.fill("Ada");
  await field.press("Enter");
  await lab.finished(index, CELL_SECONDS);
  await lab.outputs(index, SHOWN_SECONDS, ({ lines }) => assert.ok(lines.includes("Hello Ada")));
});

test("a flood is shown whole, and the server does not cut it off", options, async () => {
  const index = await run("flood");
  const { lines, errors } = await lab.read(index);
  assert.deepEqual(errors, []);
  assert.equal(lines.length, 40_000);
  assert.equal(Number(lines.at(-1)), 39_999);
});

test("after a reload of the page, what tasks print goes on", options, async () => {
  const before = await run("ticking");
  await lab.outputs(before, SHOWN_SECONDS, ({ lines }) => assert.ok(lines.length > 2));
  await lab.reload();
  const index = await run("later");
  await lab.outputs(index, SHOWN_SECONDS, ({ lines }) => {
    assert.ok(lines.includes("after the reload"), `${lines}`);
    assert.ok(lines.filter((line) => /^tick \d+$/.test(line)).length > 2, `ticks in ${lines}`);
  });
  await picture("reloaded", index);
});

/** Runs a cell to its end; gives its index. */
async function run(name, seconds = CELL_SECONDS) {
  const index = NAMES.indexOf(name);
  await lab.run(index);
  await lab.finished(index, seconds);
  return index;
}

async function picture(name, index) {
  await lab.screenshotCell(index, path.join(SCREENSHOTS, `output-${name}.png`));
}

/** A notebook of the cells above. */
function writeNotebook() {
  const cells = Object.entries(CODES).map(([id, source]) => ({
    cell_type: "code",
    id,
    source,
    metadata: {},
    outputs: [],
    execution_count: null,
  }));
  const kernelspec = { name: "morceaux", display_name: "Rust (async)", language: "rust" };
  const notebook = { cells, metadata: { kernelspec }, nbformat: 4, nbformat_minor: 5 };
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "morceaux-output-"));
  const file = path.join(folder, "output.ipynb");
  fs.writeFileSync(file, JSON.stringify(notebook));
  return file;
}
