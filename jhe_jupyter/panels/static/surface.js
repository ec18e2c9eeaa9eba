// One widget, its regions: tabs, toolbar, notice, figure, main, and a native dialog. What is shown comes as messages and is not
// part of the widget's state, so no patient is ever saved into a notebook file.

function render({ model, el }) {
  const view = new Surface(model, el);
  model.on("msg:custom", view.hear);
  view.tell({ name: "ready" });
  return () => {
    model.off("msg:custom", view.hear);
    view.tell({ name: "gone" });
    view.dialog.remove();
  };
}

class Surface {
  constructor(model, el) {
    this.id = newId();
    this.model = model;
    this.tell = (said, buffers) => model.send({ ...said, view: this.id }, undefined, buffers);
    this.hear = (said) => this.show(said);
    el.classList.add("jhe");
    el.setAttribute("data-lm-suppress-shortcuts", "true");
    el.addEventListener("keydown", (event) => event.stopPropagation());  // or typing "dd" deletes the cell
    this.parts = {};
    const [tabs, bar, notice, figure, main] = ["tabs", "bar", "notice", "figure", "main"].map((name) => this.part(name, h("div", { class: `jhe-${name}` })));
    this.main = main;
    this.dialog = h("dialog", { class: "jhe-dialog" });
    el.append(tabs, bar, notice, figure, main, this.dialog);
    this.dialog.addEventListener("cancel", (event) => { event.preventDefault(); this.tell({ part: "dialog", name: "cancel" }); });
    this.title = h("h2", { id: newId() });
    this.form = this.part("dialog", h("form", { novalidate: true, onsubmit: (event) => this.submit(event) }));
    this.dialog.setAttribute("aria-labelledby", this.title.id);
    this.dialog.append(this.title, this.form);
  }

  part(name, root) {
    this.parts[name] = new Part(name, root, this.tell);
    if (name === "main") root.tabIndex = -1;
    return root;
  }

  show(said) {
    if (said.part === "tabs") return this.showTabs(said);
    if (said.part === "marks") return this.parts.main.tables[said.table]?.mark(said.selected, said.heard);
    if (said.part === "busy") return this.main.setAttribute("aria-busy", String(said.on));
    if (said.part === "dialog") return this.showDialog(said);
    this.parts[said.part].show(said.blocks);
  }

  showTabs({ tabs, current }) {
    const root = this.parts.tabs.root;
    keepingFocus(root, () => root.replaceChildren(...(tabs.length ? [this.tabList(tabs, current)] : [])));
  }

  tabList(tabs, current) {
    const pick = (title) => this.tell({ part: "tabs", name: "tab", value: title });
    const list = h("div", { role: "tablist", "aria-label": "Screens" }, tabs.map((title) => h("button", { type: "button", role: "tab", "data-key": `tab:${title}`,
      "aria-selected": String(title === current), tabindex: title === current ? "0" : "-1", onclick: () => pick(title) }, title)));
    list.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = [...list.children].at((tabs.indexOf(event.target.textContent) + step) % tabs.length);
      next.focus();
      pick(next.textContent);
    });
    return list;
  }

  showDialog({ title, blocks, fresh, wide, focus }) {
    if (title == null) return this.closeDialog();
    if (fresh) this.parts.dialog.forget();
    if (fresh && !this.dialog.open) this.opener = document.activeElement && document.activeElement.closest("[data-key]");
    this.title.textContent = title;
    this.dialog.classList.toggle("jhe-wide", Boolean(wide));
    this.parts.dialog.show(blocks);
    if (!this.dialog.open) this.dialog.showModal();
    const asked = focus && find(this.form, `field:${focus}`);
    if (asked) asked.focus();
    else if (fresh) this.firstField();
  }

  firstField() {
    this.dialog.scrollTop = 0;
    const first = this.form.querySelector("input:not([readonly]):not([type=checkbox]), select, textarea, button.jhe-safe") || this.form.querySelector("button");
    if (first) first.focus({ preventScroll: true });
  }

  closeDialog() {
    if (!this.dialog.open) return;
    this.dialog.close();
    this.parts.dialog.forget();
    this.form.replaceChildren();
    const again = this.opener && (this.opener.isConnected ? this.opener : find(this.dialog.parentElement, this.opener.dataset.key));
    if (again) again.focus();
  }

  submit(event) {
    event.preventDefault();
    const button = event.submitter || this.form.querySelector("button[type=submit]");
    if (button && !button.disabled) this.parts.dialog.tell(button.dataset.name, { id: button.dataset.id ? Number(button.dataset.id) : null });
  }
}

export default { render };
