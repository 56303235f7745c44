// What the account may do, as the gateway told it: nothing is offered that it would refuse.

/** Whether one of `may` ("POST /api/v1/alerts/{id}/{verb}") lets this request; `path` is without "/api/v1". */
export function lets(may, method, path) {
  const given = `/api/v1${path}`.split("/");
  return may.some((rule) => {
    const [verb, template] = rule.split(" ");
    const wanted = template.split("/");
    return (
      verb === method &&
      wanted.length === given.length &&
      wanted.every((part, index) => part.startsWith("{") || part === given[index])
    );
  });
}
