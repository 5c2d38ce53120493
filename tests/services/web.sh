# Git over HTTP and a Maven repository, both behind one nginx. Sourced by `up`.
#
#   /open/NAME.git      read by everyone          $STATE/web/repositories/open
#   /old/NAME.git       the same as of a server that speaks protocol version 0 only
#   /private/NAME.git   read with the account     $STATE/web/repositories/private
#   /moved/...          redirects to /open/...
#   /away/...           redirects to another host, `localhost`
#   /maven/             a Maven repository, with the account; PUT stores
#   /released/          another one, in which a file of a release is stored once
#
# The TLS port serves the same with a certificate of its own ($STATE/web/ca.pem).
# Containers reach the plain port at the Engine's bridge address.

web_url() { echo "http://${1:-127.0.0.1}:$(port_of web 8760)"; }

web_is_ready() {
  local address
  for address in 127.0.0.1 $(engine_bridge); do
    curl -fs -m 5 --noproxy '*' "$(web_url "$address")/open/ready.git/info/refs?service=git-upload-pack" | grep -qa upload-pack || return 1
    [ "$(curl -s -m 5 --noproxy '*' -o /dev/null -w '%{http_code}' "$(web_url "$address")/maven/")" = 401 ] || return 1
  done
}

web_up() {
  local dir="$STATE/web"
  mkdir -p "$dir"
  # A new version of these scripts, or a new bridge address, makes another configuration.
  web_configuration >"$dir/nginx.conf.new"
  if cmp -s "$dir/nginx.conf.new" "$dir/nginx.conf" && pid_of web >/dev/null && pid_of fcgiwrap >/dev/null && web_is_ready; then
    return 0
  fi
  stop web
  stop fcgiwrap
  mkdir -p "$dir/repositories/open" "$dir/repositories/private" "$dir/maven" "$dir/released" "$dir/tmp" "$STATE/fcgiwrap"
  htpasswd -bn "$TEST_USER" "$TEST_PASSWORD" >"$dir/htpasswd"
  # Tests make repositories under their own account and fetch commits by id.
  printf '[safe]\n\tdirectory = *\n[uploadpack]\n\tallowAnySHA1InWant = true\n\tallowFilter = true\n' >"$dir/gitconfig"
  git init -q --bare "$dir/repositories/open/ready.git"
  [ -s "$dir/ca.pem" ] || openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=slipway-test \
    -addext subjectAltName=IP:127.0.0.1,DNS:localhost -keyout "$dir/key.pem" -out "$dir/ca.pem" 2>"$dir/openssl.log" ||
    die "openssl failed: $(cat "$dir/openssl.log")"

  rm -f "$dir/fcgiwrap.sock"
  start fcgiwrap env GIT_CONFIG_GLOBAL="$dir/gitconfig" GIT_CONFIG_NOSYSTEM=1 fcgiwrap -c 4 -s "unix:$dir/fcgiwrap.sock"
  mv "$dir/nginx.conf.new" "$dir/nginx.conf"
  start web nginx -p "$dir" -e stderr -c "$dir/nginx.conf"
  wait_ready web 30 web_is_ready
}

web_configuration() {
  local dir="$STATE/web" port listen address
  port=$(port_of web 8760)
  listen="listen 127.0.0.1:$(port_of web-tls 8860) ssl;"
  for address in 127.0.0.1 $(engine_bridge); do
    listen="$listen listen $address:$port;"
  done
  [ "$(id -u)" != 0 ] || echo 'user root;' # the state directory may be root's alone
  cat <<NGINX
daemon off;
pid $dir/nginx.pid;
error_log stderr warn;
events {}
http {
  access_log off;
  default_type application/octet-stream;
  client_max_body_size 0;
  client_body_temp_path $dir/tmp/body;
  proxy_temp_path $dir/tmp/proxy;
  fastcgi_temp_path $dir/tmp/fastcgi;
  uwsgi_temp_path $dir/tmp/uwsgi;
  scgi_temp_path $dir/tmp/scgi;
  server {
    $listen
    ssl_certificate $dir/ca.pem;
    ssl_certificate_key $dir/key.pem;
    location /open/ {
$(web_git_backend "\$uri")
    }
    location ~ ^/old(/.*) {
      fastcgi_param HTTP_GIT_PROTOCOL "";
$(web_git_backend "/open\$1")
    }
    location /private/ {
      auth_basic slipway-test;
      auth_basic_user_file $dir/htpasswd;
$(web_git_backend "\$uri")
    }
    location ~ ^/moved/(.*) { return 302 \$scheme://\$http_host/open/\$1\$is_args\$args; }
    location ~ ^/away/(.*) { return 302 \$scheme://localhost:\$server_port/open/\$1\$is_args\$args; }
    location /maven/ {
      auth_basic slipway-test;
      auth_basic_user_file $dir/htpasswd;
      root $dir;
      autoindex on;
      dav_methods PUT DELETE;
      create_full_put_path on;
      dav_access user:rw;
    }
    location /released/ {
      auth_basic slipway-test;
      auth_basic_user_file $dir/htpasswd;
      root $dir;
      set \$refused \$request_method;
      if (-f \$request_filename) { set \$refused "\$refused again"; }
      if (\$uri ~ "maven-metadata|-SNAPSHOT/") { set \$refused ""; }
      if (\$refused = "PUT again") { return 409; }
      dav_methods PUT;
      create_full_put_path on;
      dav_access user:rw;
    }
  }
}
NGINX
}

# web_git_backend PATH: the rest of a location, with nginx's expression for the repository's path.
web_git_backend() {
  cat <<NGINX
      include /etc/nginx/fastcgi_params;
      fastcgi_param SCRIPT_FILENAME /usr/lib/git-core/git-http-backend;
      fastcgi_param GIT_PROJECT_ROOT $STATE/web/repositories;
      fastcgi_param GIT_HTTP_EXPORT_ALL 1;
      fastcgi_param PATH_INFO $1;
      fastcgi_param REMOTE_USER \$remote_user;
      fastcgi_pass unix:$STATE/web/fcgiwrap.sock;
NGINX
}

web_down() {
  stop web
  stop fcgiwrap
}
