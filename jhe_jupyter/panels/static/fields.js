// Fields of a form: a visible label, what is wrong beneath in words, and the same for those who listen.

function drawField(b, part) {
  if (part.given[b.name] !== JSON.stringify(b.value)) {
    part.given[b.name] = JSON.stringify(b.value);
    part.typed[b.name] = b.value;
  }
  const id = newId();
  const input = (INPUTS[b.type] || drawInput)(b, part, id);
  input.dataset.key = `field:${b.name}`;
  if (b.readonly) input.setAttribute("readonly", "");
  if (b.disabled) input.disabled = true;
  if (b.required) input.setAttribute("aria-required", "true");
  const below = [b.hint && h("small", { id: `${id}-hint`, class: "jhe-hint" }, b.hint),
    b.error && h("small", { id: `${id}-error`, class: "jhe-error", role: "alert" }, b.error)].filter(Boolean);
  if (below.length) input.setAttribute("aria-describedby", below.map((one) => one.id).join(" "));
  if (b.error) input.setAttribute("aria-invalid", "true");
  const label = h("label", { for: id, class: b.required ? "jhe-required" : null }, b.label);
  const order = b.type === "checkbox" ? [input, label] : [label, input];
  return h("div", { class: `jhe-field jhe-field-${b.type}` }, order, below);
}

const INPUTS = { select: drawSelect, checkbox: drawCheckbox, textarea: drawTextarea };

function drawInput(b, part, id) {
  const input = h("input", { id, type: b.type, placeholder: b.placeholder, autocomplete: "off", spellcheck: "false",
    oninput: (event) => { part.typed[b.name] = event.target.value; },
    onchange: (event) => { if (b.live) part.tell(b.name, { value: event.target.value }); } });
  input.value = part.typed[b.name] ?? "";
  return input;
}

function drawTextarea(b, part, id) {
  const area = h("textarea", { id, rows: b.rows || 3, spellcheck: "false", oninput: (event) => { part.typed[b.name] = event.target.value; } });
  area.value = part.typed[b.name] ?? "";
  return area;
}

function drawCheckbox(b, part, id) {
  const box = h("input", { id, type: "checkbox", onchange: (event) => {
    part.typed[b.name] = event.target.checked;
    if (b.live) part.tell(b.name, { value: event.target.checked });
  } });
  box.checked = Boolean(part.typed[b.name]);
  return box;
}

function drawSelect(b, part, id) {
  const options = b.options.map(([value, label]) => h("option", { value }, label));
  const select = h("select", { id, onchange: (event) => {
    part.typed[b.name] = event.target.value;
    if (b.live) part.tell(b.name, { value: event.target.value });
  } }, options);
  select.value = String(part.typed[b.name] ?? "");
  return select;
}

function drawFile(b, part) {
  const id = newId();
  const said = h("small", { class: "jhe-error", role: "alert" });
  const read = async (event) => {
    const [file] = event.target.files;
    if (!file) return;
    said.textContent = file.size > b.most ? b.toolarge : "";
    if (file.size <= b.most) part.tell(b.name, { value: file.name }, [await file.arrayBuffer()]);
    event.target.value = "";  // the same file, mended, may be chosen again
  };
  return h("div", { class: "jhe-field" }, h("label", { for: id }, b.label),
    h("input", { id, type: "file", accept: b.accept, "data-key": `file:${b.name}`, onchange: read }), said);
}
