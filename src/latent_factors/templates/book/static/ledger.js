// Filters and sorting of the ledger. Without this script the page shows every row in the order of claims.yaml.
"use strict";
{
  const table = document.getElementById("ledger");
  const filters = document.getElementById("filters");
  const shown = document.getElementById("shown");
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);

  const filter = () => {
    const wanted = Array.from(new FormData(filters)).filter(([, value]) => value);
    let count = 0;
    for (const row of rows) {
      row.hidden = wanted.some(([name, value]) => row.dataset[name] !== value);
      count += row.hidden ? 0 : 1;
    }
    shown.textContent = `${count} of ${rows.length} rows`;
  };

  const key = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent;
  const compare = new Intl.Collator("en", { numeric: true }).compare;

  const sort = (header) => {
    const column = header.cellIndex;
    const down = header.getAttribute("aria-sort") === "ascending";
    for (const other of header.parentNode.cells) other.setAttribute("aria-sort", "none");
    header.setAttribute("aria-sort", down ? "descending" : "ascending");
    const number = "value" in rows[0].cells[column].dataset;
    const order = (a, b) =>
      number ? key(a, column) - key(b, column) : compare(key(a, column), key(b, column));
    const sorted = rows.toSorted((a, b) => (down ? order(b, a) : order(a, b)));
    body.append(...sorted);
  };

  filters.addEventListener("change", filter);
  filters.addEventListener("submit", (event) => event.preventDefault());
  for (const button of table.tHead.querySelectorAll("button")) {
    button.addEventListener("click", () => sort(button.closest("th")));
  }
  filter(); // a browser may have kept what was chosen before
}
