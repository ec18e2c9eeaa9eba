// What Python describes in blocks, drawn: text, fields, buttons, lists, bars, pictures. A part (toolbar, main, dialog)
// remembers what was typed into its fields until Python gives another value.

class Part {
  constructor(name, root, send) {
    Object.assign(this, { name, root, send, typed: {}, given: {}, tables: {} });
  }

  show(blocks) {
    keepingFocus(this.root, () => this.root.replaceChildren(...blocks.map((block) => this.draw(block))));
  }

  forget() {
    this.typed = {};
    this.given = {};
  }

  tell(name, more, buffers) {
    this.send({ part: this.name, name, values: { ...this.typed }, ...more }, buffers);
  }

  draw(block) {
    const how = BLOCKS[block.kind];
    if (!how) throw new Error(`a block of kind ${block.kind} is not known`);
    const element = how(block, this);
    if (block.tone) element.classList.add(`jhe-${block.tone}`);
    return element;
  }

  all(blocks) {
    return blocks.map((block) => this.draw(block));
  }
}

const BLOCKS = {
  text: (b) => h("p", { class: "jhe-text", role: b.role }, b.text),
  heading: (b) => h("h3", {}, b.text),
  code: (b) => h("code", { class: "jhe-code" }, b.text),
  row: (b, part) => h("div", { class: "jhe-row" }, part.all(b.blocks)),
  columns: (b, part) => h("div", { class: "jhe-columns" }, h("div", {}, part.all(b.left)), h("div", {}, part.all(b.right))),
  section: (b, part) => h("section", { class: "jhe-section", "aria-label": b.title }, h("h3", {}, b.title), part.all(b.blocks)),
  pairs: (b) => h("dl", { class: "jhe-pairs" }, b.pairs.map(([term, said]) => h("div", {}, h("dt", {}, term), h("dd", {}, said)))),
  list: (b) => h("ul", { class: "jhe-list" }, b.items.map((item) => h("li", {}, item))),
  answers: drawAnswers,
  bars: (b) => h("ul", { class: "jhe-bars" }, b.bars.map(drawBar)),
  grid: drawGrid,
  tree: (b, part) => drawTree(b.nodes, part, true),
  image: (b) => h("img", { class: "jhe-image", src: b.source, alt: b.alt }),
  progress: drawProgress,
  button: drawButton,
  copy: drawCopy,
  download: drawDownload,
  print: drawPrint,
  file: drawFile,
  field: drawField,
  table: (b, part) => drawTable(b, part),
};

function drawAnswers(b) {
  const marks = { true: ["✓", "granted"], false: ["✗", "declined"], null: ["…", "pending"] };
  return h("ul", { class: "jhe-answers" }, b.answers.map((one) => {
    const [mark, word] = marks[String(one.consented)];
    return h("li", { class: `jhe-${word}` }, h("span", { class: "jhe-mark", role: "img", "aria-label": word }, mark), " ",
      h("span", {}, one.text), one.note ? h("small", {}, ` ${one.note}`) : null);
  }));
}

function drawBar(bar) {
  const parts = bar.parts.filter((part) => part.count > 0);
  const said = bar.parts.map((part) => `${part.count} ${part.label}`).join(", ");
  return h("li", {}, h("span", { class: "jhe-bar-label" }, bar.label),
    h("span", { class: "jhe-bar", role: "img", "aria-label": `${bar.label}: ${said}` },
      parts.map((part) => h("span", { class: `jhe-share jhe-${part.tone}`, style: `flex-grow:${part.count}` }))),
    h("span", { class: "jhe-bar-said" }, said));
}

function drawGrid(b) {
  const head = h("thead", {}, h("tr", {}, b.columns.map((title) => h("th", { scope: "col" }, title))));
  const body = h("tbody", {}, b.rows.map((row) => h("tr", {}, row.map((cell) => h("td", {}, cell)))));
  return h("div", { class: "jhe-scroll", tabindex: "0", role: "region", "aria-label": b.label },
    h("table", { "aria-label": b.label }, head, body));
}

function drawTree(nodes, part, top) {
  return h("ul", { class: top ? "jhe-tree" : "" }, nodes.map((node) => {
    const press = () => part.tell(node.name, { id: node.id });
    const label = node.name
      ? h("button", { type: "button", class: "jhe-link", "data-key": `tree:${node.id}`, "aria-current": node.current ? "true" : null, onclick: press }, node.label)
      : h("span", {}, node.label);
    return h("li", {}, label, node.note ? h("small", {}, ` ${node.note}`) : null,
      node.children.length ? drawTree(node.children, part, false) : null);
  }));
}

function drawProgress(b) {
  const id = newId();
  return h("div", { class: "jhe-progress" }, h("label", { for: id }, b.label), h("progress", { id, max: b.max, value: b.value }));
}

function drawButton(b, part) {
  return h("button", {
    type: b.submit ? "submit" : "button", class: `jhe-button jhe-${b.look || "plain"}`, disabled: b.disabled, title: b.hint,
    "data-key": `press:${b.name}:${b.id ?? ""}`, "data-name": b.name, "data-id": b.id,
    onclick: b.submit ? null : () => part.tell(b.name, { id: b.id }),
  }, b.label);
}

function drawCopy(b) {
  const said = h("span", { class: "jhe-copied", role: "status" });
  const press = async (event) => {
    await copyText(b.text, event.target.parentNode);
    said.textContent = "Copied";
  };
  return h("span", { class: "jhe-row" }, h("button", { type: "button", class: "jhe-button jhe-plain", "data-key": `copy:${b.label}`, onclick: press }, b.label), said);
}

function drawDownload(b) {
  const press = () => {
    const address = URL.createObjectURL(new Blob([b.text], { type: b.type }));
    const link = h("a", { href: address, download: b.file });
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 60000);
  };
  return h("button", { type: "button", class: "jhe-button jhe-plain", "data-key": `download:${b.file}`, onclick: press }, b.label);
}

function drawPrint(b) {
  const press = () => {
    const frame = h("iframe", { class: "jhe-print", title: b.label });
    document.body.append(frame);
    const page = frame.contentDocument;
    page.title = b.title;
    const style = "font:14pt system-ui,sans-serif;text-align:center;margin:2cm";
    page.body.append(h("div", { style }, h("h1", { style: "font-size:20pt" }, b.title),
      h("img", { src: b.source, alt: "QR code", style: "width:9cm" }), b.lines.map((line) => h("p", { style: "overflow-wrap:anywhere" }, line))));
    frame.contentWindow.addEventListener("afterprint", () => frame.remove());
    page.querySelector("img").decode().finally(() => frame.contentWindow.print());
  };
  return h("button", { type: "button", class: "jhe-button jhe-plain", "data-key": `print:${b.label}`, onclick: press }, b.label);
}
