"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const tip = document.getElementById("tip");
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const hidden = new Set();

  // Theme: automatic, light, dark; the choice is kept where the browser lets a page keep one.
  const root = document.documentElement;
  const themes = ["auto", "light", "dark"];
  const button = document.getElementById("theme");
  const stored = () => { try { return localStorage.getItem("ppo-lab-theme"); } catch { return null; } };
  function setTheme(name) {
    if (name === "auto") root.removeAttribute("data-theme"); else root.dataset.theme = name;
    button.textContent = name[0].toUpperCase() + name.slice(1);
    button.setAttribute("aria-label", `Colours: ${name === "auto" ? "automatic" : name}`);
    button.dataset.now = name;
    try { localStorage.setItem("ppo-lab-theme", name); } catch { /* a page may be forbidden to */ }
  }
  button.addEventListener("click", () =>
    setTheme(themes[(themes.indexOf(button.dataset.now) + 1) % themes.length]));
  button.hidden = false;
  setTheme(themes.includes(stored()) ? stored() : "auto");

  // Legends become switches: a label is shown or hidden in every figure at once.
  function toggle(label) {
    if (!hidden.delete(label)) hidden.add(label);
    for (const group of all(`.series[data-label="${label}"]`))
      group.classList.toggle("off", hidden.has(label));
    for (const key of all(`button.key[data-label="${label}"]`))
      key.setAttribute("aria-pressed", String(!hidden.has(label)));
  }
  for (const key of all(".legend .key")) {
    const control = document.createElement("button");
    control.type = "button";
    control.className = key.className;
    control.dataset.label = key.dataset.label;
    control.setAttribute("aria-pressed", "true");
    control.append(...key.childNodes);
    control.addEventListener("click", () => toggle(key.dataset.label));
    key.replaceWith(control);
  }

  // Tips.
  function showTip(nodes, x, y) {
    tip.replaceChildren(...nodes);
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    const left = x + 14 + box.width > innerWidth ? x - 14 - box.width : x + 14;
    tip.style.left = `${Math.max(8, Math.min(left, innerWidth - box.width - 8))}px`;
    tip.style.top = `${Math.max(8, Math.min(y + 14, innerHeight - box.height - 8))}px`;
  }
  const line = (text) => { const p = document.createElement("div"); p.textContent = text; return p; };
  for (const group of all("[data-tip]")) {
    group.querySelector("title")?.remove();
    group.addEventListener("pointermove", (event) =>
      showTip([line(group.dataset.tip)], event.clientX, event.clientY));
    group.addEventListener("pointerleave", () => { tip.hidden = true; });
  }

  // The same by keyboard: a figure takes the focus, the arrow keys go from tip to tip.
  for (const svg of all(".plot svg")) {
    const groups = all("[data-tip]", svg);
    if (!groups.length || svg.closest(".lines")) continue;
    let at = -1;
    const leave = () => {
      tip.hidden = true;
      groups[at]?.classList.remove("tip-here");
    };
    svg.tabIndex = 0;
    svg.addEventListener("blur", leave);
    svg.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
      if (!move) return;
      event.preventDefault();
      leave();
      at = Math.max(0, Math.min(at + move, groups.length - 1));
      groups[at].classList.add("tip-here");
      const box = groups[at].getBoundingClientRect();
      showTip([line(groups[at].dataset.tip)], box.right, box.top);
    });
  }
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });

  // Lines: the values of every visible curve nearest to the pointer's x; arrow keys move along.
  const figures = (value) => value === null ? "–" : Number(value).toLocaleString("en", {
    maximumFractionDigits: Math.abs(value) < 10 ? 3 : Math.abs(value) < 1000 ? 1 : 0 });
  function seriesOf(table) {
    const found = new Map();
    for (const [name, x, y, low, high] of table.rows) {
      if (!found.has(name)) found.set(name, []);
      found.get(name).push({ x, y, low, high });
    }
    return [...found.values()].map((points, place) => ({ points, label: table.series[place] }));
  }
  function hover(figure, svg) {
    const table = data.tables[figure.dataset.table];
    const series = seriesOf(table);
    const [left, right, from, to, , , bottom, top] = svg.dataset.frame.split(" ").map(Number);
    const cross = document.createElementNS("http://www.w3.org/2000/svg", "line");
    for (const [key, value] of [["class", "cross"], ["y1", top], ["y2", bottom]])
      cross.setAttribute(key, value);
    const xs = [...new Set(series.flatMap((of) => of.points.map((p) => p.x)))].sort((a, b) => a - b);
    const nearest = (points, x, get) => points.reduce((best, p) =>
      Math.abs(get(p) - x) < Math.abs(get(best) - x) ? p : best);
    let at = 0;
    function show(x, clientX, clientY) {
      const step = nearest(xs, x, (v) => v);
      at = xs.indexOf(step);
      const place = from + (step - left) / (right - left) * (to - from);
      cross.setAttribute("x1", place);
      cross.setAttribute("x2", place);
      svg.append(cross);
      const shown = series.filter((of) => !hidden.has(String(of.label)))
        .map((of) => ({ label: of.label, point: nearest(of.points, step, (p) => p.x) }))
        .sort((a, b) => b.point.y - a.point.y);
      const rows = shown.map(({ label, point }) => {
        const row = line("");
        const dot = document.createElement("i");
        row.className = `c${label % 7}`;
        const ends = point.low === null ? "" : ` [${figures(point.low)}, ${figures(point.high)}]`;
        const other = point.x === step ? "" : ` at ${figures(point.x)}`;
        row.append(dot, `${data.labels[label]}: ${figures(point.y)}${ends}${other}`);
        return row;
      });
      showTip([line(`${table.x} ${figures(step)}`), ...rows], clientX, clientY);
    }
    const leave = () => { tip.hidden = true; cross.remove(); };
    svg.addEventListener("pointermove", (event) => {
      const point = new DOMPoint(event.clientX, event.clientY)
        .matrixTransform(svg.getScreenCTM().inverse());
      show(left + (point.x - from) / (to - from) * (right - left), event.clientX, event.clientY);
    });
    svg.addEventListener("pointerleave", leave);
    svg.addEventListener("blur", leave);
    svg.tabIndex = 0;
    svg.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!move) return;
      event.preventDefault();
      const box = svg.getBoundingClientRect();
      const next = xs[Math.max(0, Math.min(at + move, xs.length - 1))];
      show(next, box.left + box.width * (next - left) / (right - left), box.top + 20);
    });
  }
  for (const figure of all(".lines")) for (const svg of all(".plot svg[data-frame]", figure)) hover(figure, svg);

  // A page of very many tasks: the table of a task is made when the task is opened.
  const columns = ["label", "runs", "mean", "IQM"];
  function scoresOf(rows) {
    const box = document.createElement("div");
    box.className = "scroll";
    box.tabIndex = 0;
    const table = box.appendChild(document.createElement("table"));
    const head = table.createTHead().insertRow();
    columns.forEach((title, at) => {
      const cell = head.appendChild(document.createElement("th"));
      cell.scope = "col";
      cell.className = at ? "number" : "";
      cell.textContent = title;
    });
    const body = table.createTBody();
    for (const [label, runs, mean, low, high, iqm] of rows) {
      const row = body.insertRow();
      const name = row.appendChild(document.createElement("th"));
      name.scope = "row";
      name.textContent = data.labels[label];
      const ends = low === null ? "" : ` [${figures(low)}, ${figures(high)}]`;
      for (const text of [runs, figures(mean) + ends, figures(iqm)])
        row.insertCell().textContent = text;
    }
    return box;
  }
  all(".task").forEach((task, number) => {
    if (!data.tasks.length) return;
    const make = () => {
      if (task.open && !task.querySelector("table")) task.append(scoresOf(data.tasks[number]));
      filterRows();
    };
    task.addEventListener("toggle", make);
  });

  // The filter: tasks whose name holds the text; where none does, rows of such labels everywhere.
  const filter = document.getElementById("filter");
  const holds = (node, text) => node.textContent.toLowerCase().includes(text);
  const keep = (node, kept) => node.toggleAttribute("data-filtered", !kept);
  function filterRows() {
    if (!filter) return;
    const text = filter.value.trim().toLowerCase();
    const tasks = all(".task");
    const named = tasks.filter((task) => holds(task.querySelector("summary"), text));
    for (const task of tasks) keep(task, !named.length || named.includes(task));
    const byLabel = text && !named.length;
    for (const name of all("main tbody th"))
      keep(name.parentElement, !byLabel || holds(name, text));
    const labels = data.labels.filter((label) => label.toLowerCase().includes(text)).length;
    document.getElementById("found").textContent =
      !text ? "" : named.length ? `${named.length} of ${tasks.length} tasks`
        : `${labels} of ${data.labels.length} labels`;
  }
  if (filter) {
    filter.parentElement.hidden = false;
    filter.addEventListener("input", filterRows);
  }

  // Downloads.
  function save(name, type, text) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }
  const quoted = (cell) => cell === null ? "" : /[",\r\n]/.test(cell)
    ? `"${String(cell).replaceAll('"', '""')}"` : String(cell);
  const csv = (table) => [table.columns, ...table.rows]
    .map((row) => row.map(quoted).join(",") + "\n").join("");
  function standalone(svg) {
    const copy = svg.cloneNode(true);
    for (const node of all(".cross", copy)) node.remove();
    for (const node of all(".series.off", copy)) node.remove();
    for (const node of all("[data-tip]", copy)) {
      const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
      title.textContent = node.dataset.tip;
      node.prepend(title);
    }
    const [, , width, height] = copy.getAttribute("viewBox").split(" ").map(Number);
    const full = height + Number(copy.dataset.legend);
    copy.setAttribute("viewBox", `0 0 ${width} ${full}`);
    copy.setAttribute("width", width);
    copy.setAttribute("height", full);
    const paper = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    for (const [key, value] of [["width", width], ["height", full], ["fill", "#ffffff"]])
      paper.setAttribute(key, value);
    copy.prepend(paper);
    return new XMLSerializer().serializeToString(copy);
  }
  for (const tools of all(".tools")) tools.hidden = false;
  for (const control of all("[data-csv]")) control.addEventListener("click", () =>
    save(`${control.dataset.csv}.csv`, "text/csv", csv(data.tables[control.dataset.csv])));
  // A table as LaTeX, for booktabs: the rows and columns that the page shows.
  const LATEX = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}",
    "–": "--", "−": "$-$", "…": "\\ldots{}", "τ": "$\\tau$", "±": "$\\pm$", "<": "\\textless{}",
    ">": "\\textgreater{}", "|": "\\textbar{}", '"': "\\textquotedbl{}", "[": "{[}", "*": "{*}" };
  const latex = (text) => text.replace(/\s+/g, " ").trim()
    .replace(/[\\~^–−…τ±<>|"[*{}$&#%_]/g, (sign) => LATEX[sign] ?? `\\${sign}`);
  function latexTable(table) {
    const kinds = [...table.tHead.rows[0].cells].map((c) => c.className.includes("number") ? "r" : "l");
    const cell = (node) => node.querySelector("b")
      ? `\\textbf{${latex(node.querySelector("b").textContent)}} ${latex(node.querySelector(".ends")?.textContent ?? "")}`.trim()
      : latex(node.textContent);
    const row = (of) => `${[...of.cells].map(cell).join(" & ")} \\\\`;
    const body = [...table.tBodies[0].rows].filter((of) => !of.hasAttribute("data-filtered"));
    return ["% \\usepackage{booktabs}", `\\begin{tabular}{${kinds.join("")}}`, "\\toprule",
      row(table.tHead.rows[0]), "\\midrule", ...body.map(row), "\\bottomrule", "\\end{tabular}", ""].join("\n");
  }
  async function copy(text) {
    try { await navigator.clipboard.writeText(text); return true; } catch { /* not allowed here */ }
    const area = document.body.appendChild(document.createElement("textarea"));
    area.value = text;
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
  function copies(selector, textOf) {
    for (const control of all(selector)) {
      const name = control.textContent;
      control.addEventListener("click", async () => {
        const text = textOf(control);
        control.dataset.copied = text;
        control.textContent = await copy(text) ? "Copied" : "Not copied";
        setTimeout(() => { control.textContent = name; }, 1500);
      });
    }
  }
  copies("[data-latex]", (of) => latexTable(of.closest(".table-block").querySelector("table")));
  copies("[data-copy]", (of) => of.closest(".block").querySelector("code").textContent);
  for (const control of all("[data-svg]")) control.addEventListener("click", () => {
    const figure = control.closest("figure");
    save(`${figure.dataset.name}.svg`, "image/svg+xml", standalone(figure.querySelector(".plot svg")));
  });
})();
