// Elements made from text: whatever a patient is called, it can never become markup. No file here uses innerHTML.

function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child != null));
  return element;
}

const SHAPES = {
  view: ["M2 12c2.2-4.4 5.6-6.600 10-6.600s7.800 2.200 10 6.600c-2.200 4.400-5.600 6.600-10 6.600S4.200 16.400 2 12z", "M9 12a3 3 0 1 0 6 0a3 3 0 1 0-6 0"],
  edit: ["M4 20l1-4.500L16.500 4l3.500 3.500L8.500 19z", "M14 6.500l3.500 3.500"],
  remove: ["M5 7h14", "M9 7V4h6v3", "M7 7l1 13h8l1-13", "M10.500 11v5.500", "M13.500 11v5.500"],
};

function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const look = { viewBox: "0 0 24 24", width: 16, height: 16, fill: "none", stroke: "currentColor", "stroke-width": 1.8, "stroke-linecap": "round", "stroke-linejoin": "round", "aria-hidden": "true" };
  for (const [key, value] of Object.entries(look)) svg.setAttribute(key, value);
  for (const d of SHAPES[name] || []) {
    const path = document.createElementNS(space, "path");
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}

let made = 0;
const newId = () => `jhe-${++made}-${Math.random().toString(36).slice(2, 8)}`;

// What is drawn anew keeps the keyboard's place: elements are known by `data-key`, not by identity.
function keepingFocus(root, draw) {
  const active = document.activeElement;
  const held = root.contains(active) ? active.closest("[data-key]") : null;
  const key = held && held.dataset.key;
  const caret = key && "selectionStart" in active ? textSelection(active) : null;
  draw();
  if (!key || root.contains(document.activeElement)) return;
  const again = find(root, key);
  if (!again) return root.focus && root.focus();
  again.focus();
  if (caret && caret[0] != null) again.setSelectionRange(...caret);
}

function textSelection(input) {
  try { return [input.selectionStart, input.selectionEnd]; } catch { return null; }
}

const find = (root, key) => [...root.querySelectorAll("[data-key]")].find((one) => one.dataset.key === key && !one.disabled);

async function copyText(text, near) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {  // plain http has no clipboard of its own
    const area = h("textarea", { style: "position:fixed;opacity:0", "aria-hidden": "true" });
    area.value = text;
    near.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}
