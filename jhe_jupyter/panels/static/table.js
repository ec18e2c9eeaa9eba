// A table of one page of rows: ticks by id, actions per row, order by column, pages. A real <table>, for every reader.

function drawTable(b, part) {
  const known = part.tables[b.name] || (part.tables[b.name] = { pending: new Map() });
  const ticked = afterPending(b.selected, known.pending);
  const tell = (what, more) => {
    if (what === "tick") for (const id of more.ids) known.pending.set(id, more.on);
    part.tell(`${b.name}.${what}`, more);
  };
  const box = h("div", { class: "jhe-scroll", tabindex: "0", role: "region", "aria-label": b.label, "data-key": `table:${b.name}` });
  const count = h("span", { class: "jhe-selected", role: "status" });
  const marks = () => { count.textContent = b.select ? `${ticked.size} selected` : ""; };
  box.append(h("table", { "aria-label": b.label }, drawHead(b, ticked, tell, marks), drawBody(b, ticked, tell, marks)));
  marks();
  // Python has heard of a tick: from now on its word counts, also over a table that it had sent before.
  known.mark = (selected, heard) => {
    heard.forEach((id) => known.pending.delete(id));
    const now = afterPending(selected, known.pending);
    ticked.clear();
    now.forEach((id) => ticked.add(id));
    for (const input of box.querySelectorAll("tbody input[data-id]")) tickRow(input, now.has(Number(input.dataset.id)), ticked);
    now.forEach((id) => ticked.add(id));
    marks();
  };
  return h("div", { class: "jhe-table" }, box, drawFoot(b, tell, count));
}

function afterPending(selected, pending) {
  const ticked = new Set(selected);
  pending.forEach((on, id) => (on ? ticked.add(id) : ticked.delete(id)));
  return ticked;
}

function drawHead(b, ticked, tell, marks) {
  const all = h("input", { type: "checkbox", "aria-label": "Select all rows of this page", "data-key": `all:${b.name}`, onchange: (event) => {
    const on = event.target.checked;
    for (const input of event.target.closest("table").querySelectorAll("tbody input[data-id]")) tickRow(input, on, ticked);
    marks();
    tell("tick", { ids: b.rows.map((row) => row.id), on });
  } });
  all.checked = b.rows.length > 0 && b.rows.every((row) => ticked.has(row.id));
  all.indeterminate = !all.checked && b.rows.some((row) => ticked.has(row.id));
  return h("thead", {}, h("tr", {}, b.actions.length ? h("th", { scope: "col", class: "jhe-acts" }, h("span", { class: "jhe-unseen" }, "Actions")) : null,
    b.select ? h("th", { scope: "col", class: "jhe-tick" }, all) : null,
    b.columns.map((column) => drawColumn(b, column, tell))));
}

function drawColumn(b, column, tell) {
  const current = b.order.replace("-", "") === column.order && column.order;
  const down = b.order.startsWith("-");
  const sorted = current ? (down ? "descending" : "ascending") : null;
  if (!column.order) return h("th", { scope: "col", class: column.look }, column.title);
  const next = current && !down ? `-${column.order}` : column.order;
  return h("th", { scope: "col", class: column.look, "aria-sort": sorted }, h("button", { type: "button", class: "jhe-sort", "data-key": `sort:${b.name}:${column.order}`,
    onclick: () => tell("sort", { value: next }) }, column.title, h("span", { "aria-hidden": "true" }, current ? (down ? " ↓" : " ↑") : "")));
}

function drawBody(b, ticked, tell, marks) {
  const width = b.columns.length + (b.select ? 1 : 0) + (b.actions.length ? 1 : 0);
  const empty = h("tr", {}, h("td", { colspan: width, class: "jhe-empty" }, b.empty));
  return h("tbody", {}, b.rows.length ? b.rows.map((row) => drawRow(b, row, ticked, tell, marks)) : empty);
}

function drawRow(b, row, ticked, tell, marks) {
  const actions = b.actions.map((action) => h("button", { type: "button", class: `jhe-icon jhe-${action.name}`, title: action.label, "aria-label": `${action.label} ${row.called}`,
    "data-key": `${action.name}:${b.name}:${row.id}`, onclick: () => tell(action.name, { id: row.id }) }, icon(action.name)));
  const tick = h("input", { type: "checkbox", "data-id": row.id, "data-key": `tick:${b.name}:${row.id}`, "aria-label": `Select ${row.called}`, onchange: (event) => {
    tickRow(event.target, event.target.checked, ticked);
    marks();
    tell("tick", { ids: [row.id], on: event.target.checked });
  } });
  const line = h("tr", {}, actions.length ? h("td", { class: "jhe-acts" }, actions) : null, b.select ? h("td", { class: "jhe-tick" }, tick) : null,
    row.cells.map((cell, index) => h("td", { class: b.columns[index].look || null }, cell)));
  if (b.select) tickRow(tick, ticked.has(row.id), ticked, line);
  if (row.open) openable(line, b, row, tell);
  return line;
}

function openable(line, b, row, tell) {
  line.classList.add("jhe-openable");
  line.addEventListener("click", (event) => { if (!event.target.closest("button, input")) tell(row.open, { id: row.id }); });
}

function tickRow(input, on, ticked, line = input.closest("tr")) {
  const id = Number(input.dataset.id);
  if (on) ticked.add(id); else ticked.delete(id);
  input.checked = on;
  line.classList.toggle("jhe-ticked", on);
}

function drawFoot(b, tell, count) {
  const pages = Math.max(1, Math.ceil(b.total / b.per_page));
  const first = b.total ? (b.page - 1) * b.per_page + 1 : 0;
  const go = (page) => tell("page", { value: Math.min(Math.max(1, page || 1), pages) });
  const each = newId(), number = newId();
  const size = h("select", { id: each, "data-key": `each:${b.name}`, onchange: (event) => tell("per_page", { value: Number(event.target.value) }) },
    b.sizes.map((value) => h("option", { value }, value)));
  size.value = b.per_page;
  const at = h("input", { id: number, type: "number", min: 1, max: pages, "data-key": `page:${b.name}`, onkeydown: (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    go(Number(event.target.value));
  } });
  at.value = b.page;
  const step = (word, sign, page, off) => h("button", { type: "button", class: "jhe-button jhe-plain", "aria-label": word, title: word, disabled: off, "data-key": `${word}:${b.name}`, onclick: () => go(page) }, sign);
  return h("div", { class: "jhe-foot" }, count,
    h("span", { class: "jhe-each" }, size, h("label", { for: each }, " per page")),
    h("span", { class: "jhe-range" }, `${first}–${Math.min(b.page * b.per_page, b.total)} of ${b.total.toLocaleString("en")}`),
    h("span", { class: "jhe-pages" }, step("Previous page", "‹", b.page - 1, b.page <= 1), h("label", { for: number }, "Page "), at, ` of ${pages.toLocaleString("en")} `, step("Next page", "›", b.page + 1, b.page >= pages)));
}
