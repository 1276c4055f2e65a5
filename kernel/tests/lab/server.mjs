//! A `jupyter lab` server of its own for a test: everything that it writes goes to a temporary
//! folder, and only the kernelspecs are those of the user, since they are what is tested.

import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { eventually, Hopeless } from "./eventually.mjs";

const JUPYTER = process.env.JUPYTER ?? "jupyter";

const START_SECONDS = 60;
/** A server asks its kernels to stop and waits for them, so it may take a while to end. */
const STOP_SECONDS = 20;
const LOG_TAIL_LINES = 60;

/**
 * Becomes the server, beside a watcher in the same process group. The watcher reads from a pipe on
 * which nobody writes: when this process closes it, or dies in whatever way, the group is ended.
 */
const UNTIL_WE_END = '(read -r _ <&3; kill -TERM 0) & exec "$@" 3<&-';
const LIFELINE = 3;

/** What JupyterLab must not do here: keep cells out of the page, cover buttons with news. */
const SETTINGS = {
  "notebook-extension/tracker": { windowingMode: "none", scrollPastEnd: false },
  "apputils-extension/notification": {
    fetchNews: "false",
    checkForUpdates: false,
    doNotDisturbMode: true,
  },
};

export class LabServer {
  /** Starts the server that env `JUPYTER` names (default: from PATH); ready once it answers. */
  static async start() {
    const server = new LabServer(fs.mkdtempSync(path.join(os.tmpdir(), "morceaux-lab-")));
    try {
      await server.#spawn();
      await eventually(START_SECONDS, () => server.#answers());
    } catch (error) {
      const log = server.logTail();
      await server.stop();
      const program = `${JUPYTER} lab (env JUPYTER names the program)`;
      throw new Error(`${program} did not start: ${error.message}\n${log}`, { cause: error });
    }
    return server;
  }

  constructor(root) {
    this.root = root;
    this.token = randomBytes(24).toString("hex");
    /** Known once the server has written it: it takes the next port if ours is gone meanwhile. */
    this.url = undefined;
  }

  /** Puts a copy of a notebook where the server serves it, and returns its name there. */
  copyNotebook(file) {
    const name = path.basename(file);
    fs.copyFileSync(file, path.join(this.#folder("notebooks"), name));
    return name;
  }

  /** The address that opens a notebook in JupyterLab, with nothing of earlier pages in it. */
  notebookUrl(name) {
    return `${this.url}lab/tree/${encodeURIComponent(name)}?reset&token=${this.token}`;
  }

  /** The end of what server and kernels wrote. */
  logTail() {
    const lines = fs.readFileSync(this.#logFile(), "utf8").trimEnd().split("\n");
    return lines.slice(-LOG_TAIL_LINES).join("\n");
  }

  /** Ends the server, which ends its kernels, and removes all that it wrote. */
  async stop() {
    const ended = this.#runs() ? once(this.process, "exit") : undefined;
    this.process?.stdio[LIFELINE].destroy();
    const late = setTimeout(() => process.kill(-this.process.pid, "SIGKILL"), STOP_SECONDS * 1000);
    await ended;
    clearTimeout(late);
    fs.rmSync(this.root, { recursive: true, force: true, maxRetries: 5 });
  }

  async #spawn() {
    this.#writeSettings();
    const log = fs.openSync(this.#logFile(), "a");
    const command = ["-c", UNTIL_WE_END, "sh", JUPYTER, ...(await this.#arguments())];
    this.process = spawn("sh", command, {
      env: this.#environment(),
      detached: true,
      stdio: ["ignore", log, log, "pipe"],
    });
    fs.closeSync(log);
    await once(this.process, "spawn");
  }

  async #arguments() {
    const options = [
      "lab",
      "--no-browser",
      "--ServerApp.ip=127.0.0.1",
      `--ServerApp.port=${await freePort()}`,
      `--ServerApp.root_dir=${this.#folder("notebooks")}`,
      `--NotebookNotary.data_dir=${this.#folder("notary")}`,
    ];
    return process.getuid() === 0 ? [...options, "--allow-root"] : options;
  }

  #environment() {
    return {
      ...process.env,
      JUPYTER_TOKEN: this.token,
      JUPYTER_CONFIG_DIR: this.#folder("config"),
      JUPYTER_RUNTIME_DIR: this.#folder("runtime"),
      JUPYTERLAB_SETTINGS_DIR: this.#folder("settings"),
      JUPYTERLAB_WORKSPACES_DIR: this.#folder("workspaces"),
    };
  }

  #writeSettings() {
    for (const [plugin, settings] of Object.entries(SETTINGS)) {
      const file = path.join(
        this.#folder("settings"),
        "@jupyterlab",
        `${plugin}.jupyterlab-settings`,
      );
      fs.mkdirSync(path.dirname(file), { recursive: true });
      fs.writeFileSync(file, JSON.stringify(settings));
    }
  }

  async #answers() {
    if (!this.#runs()) throw new Hopeless("it ended");
    this.url = this.#writtenUrl();
    const answer = await fetch(`${this.url}api/status?token=${this.token}`);
    if (!answer.ok) throw new Error(`status ${answer.status}`);
  }

  /** The address in the file that a Jupyter server leaves in its runtime folder. */
  #writtenUrl() {
    const folder = this.#folder("runtime");
    const file = fs.readdirSync(folder).find((name) => /^jpserver-\d+\.json$/.test(name));
    if (!file) throw new Error("it has not said where it listens");
    return JSON.parse(fs.readFileSync(path.join(folder, file), "utf8")).url;
  }

  #runs() {
    const { pid, exitCode, signalCode } = this.process ?? {};
    return pid !== undefined && exitCode === null && signalCode === null;
  }

  #folder(name) {
    const folder = path.join(this.root, name);
    fs.mkdirSync(folder, { recursive: true });
    return folder;
  }

  #logFile() {
    return path.join(this.root, "server.log");
  }
}

async function freePort() {
  const probe = net.createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  await once(probe, "close");
  return port;
}
