const rows = [...document.querySelectorAll("details.row")];
const text = document.getElementById("filter-text");
const reason = document.getElementById("filter-reason");
function filter() {
  const wanted = text.value.trim().toLowerCase();
  let shown = 0;
  for (const row of rows) {
    const fits = (!reason.value || row.dataset.code === reason.value)
      && (!wanted || row.textContent.toLowerCase().includes(wanted));
    row.hidden = !fits;
    shown += fits;
  }
  document.getElementById("filter-shown").textContent = `${shown} of ${rows.length} shown`;
}
text.addEventListener("input", filter);
reason.addEventListener("change", filter);
document.getElementById("filters").hidden = false;
filter();
