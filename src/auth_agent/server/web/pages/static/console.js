/* What pages do without scripts, too, but less well: times as the reader's clock has them, copying. */
(function () {
  'use strict';
  var local = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'long' });
  document.querySelectorAll('time[datetime]').forEach(function (time) {
    var at = new Date(time.getAttribute('datetime'));
    if (isNaN(at)) { return; }
    var lines = [local.format(at)];
    if (time.title) { lines.push(time.title); }
    time.title = lines.join('\n');
  });
  if (!navigator.clipboard) { return; }
  document.querySelectorAll('.secret dd, .paste').forEach(function (source) {
    var text = source.textContent;
    var button = document.createElement('button');
    button.type = 'button';
    button.className = 'small copy';
    button.textContent = 'Copy';
    button.addEventListener('click', function () {
      navigator.clipboard.writeText(text).then(function () {
        button.textContent = 'Copied';
        window.setTimeout(function () { button.textContent = 'Copy'; }, 2000);
      }, function () { button.textContent = 'Select it and copy it yourself'; });
    });
    if (source.localName === 'dd') { source.appendChild(button); } else { source.after(button); }
  });
}());
