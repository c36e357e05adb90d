# The studio and its HTTP API: docs/how-to/serve-the-studio.md.
FROM python:3.13-slim AS build
WORKDIR /source
COPY . .
RUN python -m venv /redust && /redust/bin/pip install --no-cache-dir -c constraints.txt .

FROM python:3.13-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin redust && mkdir /scans /restored && chown redust /restored
COPY --from=build /redust /redust
ENV PATH=/redust/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 XDG_CACHE_HOME=/tmp HOME=/tmp
USER 10001
EXPOSE 8000
VOLUME ["/restored"]
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/api/health', timeout=4)"]
ENTRYPOINT ["redust", "studio", "/scans", "-o", "/restored", "--host", "0.0.0.0", "--port", "8000", "--no-browser"]
