"use strict";
// Links that lead into something folded unfold it; paper has nothing folded.
const reveal = () => {
  let element = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (; element; element = element.parentElement) if (element.tagName === "DETAILS") element.open = true;
};
addEventListener("hashchange", reveal);
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
reveal();

// Colours: as the system has them, dark, or light. A file:// page may have no storage.
const button = document.getElementById("theme");
const remembered = (value) => { try { return value === undefined ? localStorage.getItem("polar-theme") : localStorage.setItem("polar-theme", value); } catch { return null; } };
const themes = ["auto", "dark", "light"];
const show = (theme) => {
  document.documentElement.style.colorScheme = theme === "auto" ? "" : theme;
  button.dataset.theme = theme;
  button.textContent = button.dataset[theme];
};
button.addEventListener("click", () => {
  const next = themes[(themes.indexOf(button.dataset.theme) + 1) % themes.length];
  remembered(next);
  show(next);
});
show(themes.includes(remembered()) ? remembered() : "auto");
button.hidden = false;

// Tables sort by the column whose head is pressed, numbers as numbers, and stay as they were where values are equal.
const valueOf = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
const compared = (one, other) => {
  const numbers = [Number(one), Number(other)];
  if (one !== "" && other !== "" && !numbers.some(Number.isNaN)) return numbers[0] - numbers[1];
  return one.localeCompare(other, document.documentElement.lang, { numeric: true });
};
const sort = (table, head) => {
  const column = [...head.parentElement.cells].indexOf(head);
  const direction = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
  for (const one of head.parentElement.cells) one.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", direction);
  const body = table.tBodies[0];
  const sign = direction === "ascending" ? 1 : -1;
  body.append(...[...body.rows].sort((one, other) => {
    const [left, right] = [valueOf(one, column), valueOf(other, column)];
    if (left === "" || right === "") return (left === "") - (right === "");
    return sign * compared(left, right);
  }));
};
for (const table of document.querySelectorAll("table.sortable")) {
  for (const head of table.tHead.querySelectorAll("th:not(.unsorted)")) {
    const press = document.createElement("button");
    press.type = "button";
    press.append(...head.childNodes);
    head.append(press);
    press.addEventListener("click", () => sort(table, head));
  }
}
