//! A notebook in JupyterLab in a headless Chromium, worked with the mouse and the keyboard as a
//! person would, and read from the page, where that person reads.

import fs from "node:fs";
import path from "node:path";
import { chromium } from "playwright-core";
import { readCell, watchLines } from "./cell.mjs";
import { eventually, Hopeless } from "./eventually.mjs";
import { LabServer } from "./server.mjs";

const CHROMIUM_FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
/** Else a signal would close the browser and leave the test waiting for it. */
const DIE_OF_SIGNALS = { handleSIGINT: false, handleSIGTERM: false, handleSIGHUP: false };
const VIEWPORT = { width: 1100, height: 850 };
/** A JupyterLab page and its kernel's first answer on a busy machine. */
const OPEN_SECONDS = 120;
/** A reaction of the page itself: a prompt that becomes `[*]`, a cell that is inserted. */
const PAGE_SECONDS = 20;
/** A click inside a cell lands at its first letters, clear of the buttons at its right edge. */
const FIRST_LETTERS = { x: 12, y: 10 };

const COMMANDS = {
  run: "notebook:run-cell-and-select-next",
  stop: "notebook:interrupt-kernel",
  insert: "notebook:insert-cell-below",
};

export class Lab {
  /**
   * Starts a server and a browser. Env `CHROMIUM` names the browser's program. No wait goes on for
   * longer than `seconds` after this, so that a test that is slow all over fails while waiting,
   * where it can say for what, and not at its own limit.
   */
  static async start(seconds) {
    const end = performance.now() + seconds * 1000;
    const server = await LabServer.start();
    try {
      const browser = await chromium.launch({
        executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
        args: CHROMIUM_FLAGS,
        ...DIE_OF_SIGNALS,
        env: { ...process.env, XDG_CONFIG_HOME: server.root, XDG_CACHE_HOME: server.root },
      });
      return new Lab(server, browser, await browser.newPage({ viewport: VIEWPORT }), end);
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  constructor(server, browser, page, end) {
    this.server = server;
    this.browser = browser;
    this.page = page;
    this.end = end;
  }

  /** Opens a copy of a notebook and waits until its kernel is there and idle. */
  async open(file) {
    await this.page.goto(this.server.notebookUrl(this.server.copyNotebook(file)));
    await this.#ready();
    await this.#hideSidebar();
  }

  /** Loads the page anew, as a person does who presses F5. */
  async reload() {
    await this.page.reload();
    await this.#ready();
  }

  async #ready() {
    await this.until(OPEN_SECONDS, async () => {
      const status = await this.kernelStatus();
      if (status !== "idle") throw new Error(`the kernel is ${status}`);
    });
    const cells = await this.countCodeCells();
    for (let index = 0; index < cells; index += 1) await this.#watch(index);
  }

  /** The element of code cell `index`, counted from 0. */
  cell(index) {
    return this.#codeCells().nth(index);
  }

  /** How many code cells the notebook has on the page. */
  countCodeCells() {
    return this.#codeCells().count();
  }

  /** Presses the left mouse button inside code cell `index`, counted from 0. */
  async clickCell(index) {
    await this.#editor(index).click({ position: FIRST_LETTERS });
  }

  /**
   * Runs a code cell with the mouse: a click into it, a click on the toolbar's run button. It
   * returns once the page has taken notice, so that nothing read later is from an earlier run.
   */
  async run(index) {
    const before = await this.#prompt(index);
    await this.clickCell(index);
    await this.#press("run");
    await this.until(PAGE_SECONDS, async () => {
      const prompt = await this.#prompt(index);
      if (prompt === before) throw new Error(`the prompt stays [${prompt}]`);
    });
  }

  /** Waits until a cell that was run has its number and the kernel is idle; gives the number. */
  async finished(index, seconds) {
    return this.until(seconds, async () => {
      const prompt = await this.#prompt(index);
      const status = await this.kernelStatus();
      if (!/^\d+$/.test(prompt) || status !== "idle") {
        throw new Error(`cell ${index} still runs: prompt [${prompt}], kernel ${status}`);
      }
      return Number(prompt);
    });
  }

  /** Presses the toolbar's stop button. */
  async stop() {
    await this.#press("stop");
  }

  /** What a person sees of a code cell; see `readCell`. */
  async read(index) {
    return this.#codeCells().nth(index).evaluate(readCell);
  }

  /** Waits until `check`, given what is seen of a cell, no longer throws; gives what it saw. */
  async outputs(index, seconds, check) {
    return this.until(seconds, async () => {
      const seen = await this.read(index);
      check(seen);
      return seen;
    });
  }

  /** The status that the toolbar's indicator shows; `absent` as long as no kernel has a name. */
  async kernelStatus() {
    const panel = this.#panel();
    const name = await panel.locator(".jp-Toolbar-kernelName").textContent({ timeout: 1000 });
    if (name === "No Kernel") return "absent";
    return panel.locator(".jp-Notebook-ExecutionIndicator").getAttribute("data-status");
  }

  /** Adds a code cell after the last cell and types `code` into it; gives its index. */
  async appendCell(code) {
    const index = await this.countCodeCells();
    await this.#panel().locator(".jp-Cell").last().click({ position: FIRST_LETTERS });
    await this.#press("insert");
    await this.#codeCells().nth(index).waitFor();
    await this.#watch(index);
    await this.clickCell(index);
    await this.page.keyboard.type(code);
    return index;
  }

  /** Saves a picture of the window as it is. */
  async screenshot(file) {
    fs.mkdirSync(path.dirname(file), { recursive: true });
    await this.page.screenshot({ path: file });
  }

  /** Brings a code cell into view and saves a picture of the window. */
  async screenshotCell(index, file) {
    await this.#codeCells().nth(index).scrollIntoViewIfNeeded();
    await this.screenshot(file);
  }

  /** Saves a picture of the whole notebook: the window is made as high as the notebook needs. */
  async screenshotNotebook(file) {
    const scrolled = this.#panel().locator(".jp-WindowedPanel-outer");
    const hidden = await scrolled.evaluate((area) => area.scrollHeight - area.clientHeight);
    await this.page.setViewportSize({ ...VIEWPORT, height: VIEWPORT.height + hidden });
    await this.until(PAGE_SECONDS, async () => {
      const top = await scrolled.evaluate((area) => area.scrollTop);
      if (top !== 0) throw new Error(`${top} pixels of the notebook stay above the window`);
    });
    await this.screenshot(file);
    await this.page.setViewportSize(VIEWPORT);
  }

  /** Like `eventually`, but gives up at once when a dialog asks for something. */
  async until(seconds, look) {
    const left = (this.end - performance.now()) / 1000;
    return eventually(Math.min(seconds, left), async () => {
      const dialog = this.page.locator(".jp-Dialog-content");
      if ((await dialog.count()) > 0) {
        throw new Hopeless(`JupyterLab asks: ${await dialog.first().innerText()}`);
      }
      return look();
    });
  }

  /** Closes the browser, and ends the server with its kernels. */
  async close() {
    try {
      await this.browser.close();
    } finally {
      await this.server.stop();
    }
  }

  /**
   * What stands between a cell's brackets: `" "`, `"*"` or a number. Asked for often, and by itself:
   * what a flood has printed is not read each time.
   */
  async #prompt(index) {
    const brackets = await this.#codeCells().nth(index).locator(".jp-InputPrompt").textContent();
    return brackets.replace(/^\[|\]:$/g, "");
  }

  async #press(button) {
    await this.#panel().locator(`[data-command="${COMMANDS[button]}"]`).click();
  }

  async #watch(index) {
    await this.#codeCells().nth(index).evaluate(watchLines);
  }

  /** The file browser takes a quarter of the window, and nothing here needs it. */
  async #hideSidebar() {
    const tab = this.page.locator('.jp-SideBar.jp-mod-left [data-id="filebrowser"]');
    await tab.click();
    await this.page.locator("#filebrowser").waitFor({ state: "hidden" });
  }

  #panel() {
    return this.page.locator(".jp-NotebookPanel");
  }

  #codeCells() {
    return this.#panel().locator(".jp-CodeCell");
  }

  #editor(index) {
    return this.#codeCells().nth(index).locator(".jp-InputArea-editor .cm-content");
  }
}
