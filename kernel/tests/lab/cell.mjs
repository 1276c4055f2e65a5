//! What runs inside the page, on the element of one code cell. These functions travel to the
//! browser as text, so they use nothing from outside themselves.

/** Notes when each line of output came to be on the page, from now on, in `cell.lineTimes`. */
export function watchLines(cell) {
  cell.lineTimes = [];
  const count = () => {
    const printed = cell.querySelectorAll('[data-mime-type="application/vnd.jupyter.stdout"]');
    const text = Array.from(printed, (output) => output.textContent).join("");
    const lines = text.split("\n").length - 1;
    cell.lineTimes.length = Math.min(cell.lineTimes.length, lines);
    while (cell.lineTimes.length < lines) cell.lineTimes.push(performance.now());
  };
  new MutationObserver(count).observe(cell, {
    childList: true,
    characterData: true,
    subtree: true,
  });
}

/**
 * Reads at one moment what a person sees of a cell:
 * - `lines` printed, and `times`, the second at which each of them appeared;
 * - `errors`: standard error and tracebacks, which JupyterLab shows alike;
 * - `results`: the texts of values shown, whichever way;
 * - `svgs`: how many pictures are drawn. One is an `<svg>` if it came as HTML and an `<img>` if it
 *   came as SVG; a picture that the browser refused has no size and does not count.
 */
export function readCell(cell) {
  const outputs = Array.from(cell.querySelectorAll(".jp-OutputArea-output"));
  const isPrinted = (output) => output.dataset.mimeType === "application/vnd.jupyter.stdout";
  const isError = (output) => output.dataset.mimeType === "application/vnd.jupyter.stderr";
  const pictures = (output) => output.querySelectorAll('svg, img[src^="data:image/svg+xml"]');
  const isShown = (output) => !isPrinted(output) && !isError(output);
  const isText = (output) => isShown(output) && pictures(output).length === 0;
  const text = (output) => output.textContent;

  const printed = outputs.filter(isPrinted).map(text).join("");
  return {
    lines: printed === "" ? [] : printed.replace(/\n$/, "").split("\n"),
    times: cell.lineTimes.map((milliseconds) => milliseconds / 1000),
    errors: outputs.filter(isError).map(text),
    results: outputs.filter(isText).map((output) => text(output).trim()),
    svgs: outputs
      .filter(isShown)
      .flatMap((output) => Array.from(pictures(output)))
      .filter((picture) => picture.getBoundingClientRect().width > 0).length,
  };
}
