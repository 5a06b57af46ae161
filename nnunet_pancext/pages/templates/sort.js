for (const part of document.querySelectorAll('.sortable')) {
  const body = part.querySelector('tbody');
  const headings = [...part.querySelectorAll('thead th')];
  const key = (row, column) => {
    const cell = row.cells[column];
    if (cell.dataset.value === undefined) return cell.textContent;
    if (cell.dataset.value === '') return NaN;
    return Number(cell.dataset.value.replace('inf', 'Infinity'));
  };
  headings.forEach((heading, column) => heading.querySelector('button').addEventListener('click', () => {
    const down = heading.getAttribute('aria-sort') === 'ascending';
    headings.forEach(other => other.removeAttribute('aria-sort'));
    heading.setAttribute('aria-sort', down ? 'descending' : 'ascending');
    const undefinedLast = value => typeof value === 'number' && Number.isNaN(value);
    const rows = [...body.rows].sort((one, other) => {
      const a = key(one, column), b = key(other, column);
      if (undefinedLast(a) || undefinedLast(b)) return undefinedLast(a) - undefinedLast(b);
      const order = typeof a === 'string' || typeof b === 'string'
        ? String(a).localeCompare(String(b), undefined, {numeric: true})
        : a < b ? -1 : a > b ? 1 : 0;
      return down ? -order : order;
    });
    body.append(...rows);
  }));
  const filter = part.querySelector('input[type=search]');
  if (filter) filter.addEventListener('input', () => {
    const wanted = filter.value.toLowerCase();
    for (const row of body.rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
}
