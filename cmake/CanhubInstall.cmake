# What `cmake --install BUILD` puts in place; the Dockerfile and the lab PC use the same rules.
include(GNUInstallDirs)

install(TARGETS canhubd canhubctl canhub-sim RUNTIME)
# Below the prefix, where systemd looks for both /usr and /usr/local.
install(FILES ${CMAKE_SOURCE_DIR}/systemd/canhubd.service DESTINATION lib/systemd/system)
install(FILES ${CMAKE_SOURCE_DIR}/systemd/canhub.sysusers.conf DESTINATION lib/sysusers.d RENAME canhub.conf)
file(GLOB examples CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/config/*.yaml ${CMAKE_SOURCE_DIR}/config/*.dbc)
install(FILES ${examples} DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
file(GLOB documents CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/docs/*.md)
install(FILES ${documents} DESTINATION ${CMAKE_INSTALL_DOCDIR})
