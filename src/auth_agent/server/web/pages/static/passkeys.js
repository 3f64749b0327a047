/* Forms with data-passkey ask the browser for a passkey before they are sent. */
(function () {
  'use strict';
  function bytes(text) {
    var raw = window.atob(text.replace(/-/g, '+').replace(/_/g, '/'));
    return Uint8Array.from(raw, function (letter) { return letter.charCodeAt(0); });
  }
  function text(buffer) {
    var raw = String.fromCharCode.apply(null, new Uint8Array(buffer));
    return window.btoa(raw).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
  }
  function named(list) {
    return (list || []).map(function (each) {
      return { id: bytes(each.id), type: each.type };
    });
  }
  function create(options) {
    options.challenge = bytes(options.challenge);
    options.user.id = bytes(options.user.id);
    options.excludeCredentials = named(options.excludeCredentials);
    return navigator.credentials.create({ publicKey: options });
  }
  function get(options) {
    options.challenge = bytes(options.challenge);
    options.allowCredentials = named(options.allowCredentials);
    return navigator.credentials.get({ publicKey: options });
  }
  function written(credential) {
    var from = credential.response;
    var response = { clientDataJSON: text(from.clientDataJSON) };
    if (from.attestationObject) {
      response.attestationObject = text(from.attestationObject);
    } else {
      response.authenticatorData = text(from.authenticatorData);
      response.signature = text(from.signature);
      if (from.userHandle) { response.userHandle = text(from.userHandle); }
    }
    return JSON.stringify({
      id: credential.id, rawId: text(credential.rawId), type: credential.type, response: response
    });
  }
  function tell(form, words) {
    var place = form.querySelector('[data-problem]');
    place.textContent = words;
    place.hidden = false;
  }
  function prepare(form) {
    var field = form.elements.credential;
    var busy = false;
    form.addEventListener('submit', function (event) {
      if (field.value) { return; }
      event.preventDefault();
      if (busy) { return; }
      if (!window.PublicKeyCredential) {
        tell(form, 'This browser has no passkeys, or this page is not at https.');
        return;
      }
      busy = true;
      var options = JSON.parse(form.getAttribute('data-passkey'));
      var run = form.getAttribute('data-ceremony') === 'create' ? create : get;
      run(options).then(function (credential) {
        field.value = written(credential);
        form.submit();
      }).catch(function (error) {
        busy = false;
        var known = error.name === 'InvalidStateError';
        tell(form, known ? 'This passkey is registered already.' : 'No passkey was used. You can try again.');
      });
    });
  }
  document.querySelectorAll('form[data-passkey]').forEach(prepare);
}());
