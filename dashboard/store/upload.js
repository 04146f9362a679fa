/** Sends a form and says how far it is, which `fetch` cannot. */
import { ApiError } from './api.js';
import { token, tokenRefused } from './session.js';

/**
 * @param {string} path
 * @param {FormData} form
 * @param {(part: number) => void} onProgress from 0 to 1: how much of it was sent
 * @param {AbortSignal} signal
 * @returns {Promise<any>} the answer
 */
export function upload(path, form, onProgress, signal) {
  const used = token.peek();
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', path);
    request.setRequestHeader('Accept', 'application/json');
    if (used) request.setRequestHeader('Authorization', `Bearer ${used}`);
    request.responseType = 'text';
    request.upload.onprogress = ({ lengthComputable, loaded, total }) => {
      if (lengthComputable && total > 0) onProgress(loaded / total);
    };
    request.onload = () => {
      const body = parsed(request.responseText);
      if (request.status >= 200 && request.status < 300) {
        resolve(body);
        return;
      }
      if (request.status === 401 && used === token.peek()) tokenRefused();
      const code = body?.code ?? body?.error ?? `http_${request.status}`;
      const message = body?.detail ?? body?.message ?? `HTTP ${request.status}`;
      reject(new ApiError(request.status, String(code), String(message), body));
    };
    request.onerror = () =>
      reject(new ApiError(0, 'unreachable', 'The server cannot be reached.'));
    request.onabort = () => reject(new ApiError(0, 'aborted', 'The upload was stopped.'));
    signal.addEventListener('abort', () => request.abort());
    request.send(form);
  });
}

/** @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
